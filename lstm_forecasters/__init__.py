"""LSTM forecasters for sktime and darts on one shared torch backend."""

__version__ = "0.1.0"
