"""The shape of every log line, as pure functions: one module per daemon name. Administrators' tools parse them."""
