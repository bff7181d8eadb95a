"""What lies on disk, as types: configuration files, plans, records, journals, image locks."""
