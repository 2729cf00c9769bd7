"""The `ringzero` command. Nothing below imports this package."""
