"""wfconsole: run recipes in Docker sandboxes, see what is about to ship, recover without doing the good work again."""

__version__ = "0.1.0"
