"""modelctl: model endpoints on Modal, declared in YAML."""

__version__ = "0.1.0"
