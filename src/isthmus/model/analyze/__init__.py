"""Configuration that is well-formed and still wrong or doubtful: a module a subject, `checks` has all of them."""
