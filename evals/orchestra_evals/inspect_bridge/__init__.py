"""Inspect AI and orchestra: our runs as its solver and agent, our suites as its tasks, our rows as its logs.

Needs the extra `inspect`: pip install "orchestra-mas[inspect]".
"""
