"""The formats: a package each, a row each in :data:`~l2cli.formats.registry.FORMATS`."""
