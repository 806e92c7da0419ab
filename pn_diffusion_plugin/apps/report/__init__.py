"""Pages for people: the report on one or more evaluations, and the listening test with its analysis."""
