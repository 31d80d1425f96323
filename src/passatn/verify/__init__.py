"""Is this completion correct? Answers, unit tests, exact match: all through isolated worker processes."""
