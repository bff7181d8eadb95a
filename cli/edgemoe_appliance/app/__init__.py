"""The command line: parse flags, call one function, print, exit. Nothing is computed here."""

from edgemoe_appliance.app.main import main

__all__ = ["main"]
