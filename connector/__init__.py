"""Connector: a sales department's job instruction, executable, inside the company's own CRM."""

__version__ = "0.1.0"
