"""One step: model endpoints, voting, red flags, microagents, the journal and the ledger."""
