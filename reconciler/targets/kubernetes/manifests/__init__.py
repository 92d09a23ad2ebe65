"""Templates to manifests: YAML whose structure is parsed once and whose expressions are evaluated to values in their place. Pure."""
