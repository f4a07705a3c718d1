"""telefonista: the telephone operator as software."""

__version__ = "0.1.0"
