"""Systems: whoever answers samples, wired out of agents or brought along by the user."""
