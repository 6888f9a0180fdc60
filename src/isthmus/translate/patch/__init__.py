"""EnvoyFilter: patches of what has been made, applied last and on copies; one file a kind of resource."""
