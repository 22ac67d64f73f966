"""The command ``karush``."""

from karush.cli.commands import app as app
from karush.cli.commands import main as main
