"""`passatn sweep`: objectives compared by one protocol (docs/protocol.md), each at its own best settings."""
