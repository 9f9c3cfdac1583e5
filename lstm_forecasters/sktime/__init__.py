"""LSTM forecasters with sktime's interface; needs ``lstm_forecasters[sktime]``."""

from lstm_forecasters.errors import MissingExtraError

try:
    import sktime as _sktime  # noqa: F401  # only to see whether it is there
except ImportError as error:
    raise MissingExtraError(
        "lstm_forecasters.sktime needs sktime. Install it by: "
        "pip install 'lstm_forecasters[sktime]'"
    ) from error

from lstm_forecasters.sktime.bidirectional import BidirectionalLSTMForecaster
from lstm_forecasters.sktime.encoder_decoder import EncoderDecoderLSTMForecaster
from lstm_forecasters.sktime.pretrained import PretrainedLSTMForecaster
from lstm_forecasters.sktime.stacked import StackedLSTMForecaster
from lstm_forecasters.sktime.tuning import tune_learning_rate
from lstm_forecasters.sktime.vanilla import VanillaLSTMForecaster

__all__ = [
    "BidirectionalLSTMForecaster",
    "EncoderDecoderLSTMForecaster",
    "PretrainedLSTMForecaster",
    "StackedLSTMForecaster",
    "VanillaLSTMForecaster",
    "tune_learning_rate",
]
