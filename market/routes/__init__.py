"""One file per resource: parse, call, reply."""
