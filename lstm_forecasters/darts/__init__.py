"""LSTM models with darts' interface; needs ``lstm_forecasters[darts]``."""

from lstm_forecasters.errors import MissingExtraError

try:
    import darts as _darts  # noqa: F401  # only to see whether they are there
    import pytorch_lightning as _lightning  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "lstm_forecasters.darts needs darts and Lightning. Install them by: "
        "pip install 'lstm_forecasters[darts]'"
    ) from error

from darts.utils.serialization import add_safe_globals

from lstm_forecasters.darts.bidirectional import BidirectionalLSTMModel
from lstm_forecasters.darts.encoder_decoder import EncoderDecoderLSTMModel
from lstm_forecasters.darts.likelihoods import StudentTLikelihood
from lstm_forecasters.darts.pretrained import PretrainedLSTMModel
from lstm_forecasters.darts.stacked import StackedLSTMModel
from lstm_forecasters.darts.tuning import tune_learning_rate
from lstm_forecasters.darts.vanilla import VanillaLSTMModel

__all__ = [
    "BidirectionalLSTMModel",
    "EncoderDecoderLSTMModel",
    "PretrainedLSTMModel",
    "StackedLSTMModel",
    "StudentTLikelihood",
    "VanillaLSTMModel",
    "tune_learning_rate",
]

# What darts' safe loading may build of this package: exactly these classes.
add_safe_globals(
    [
        BidirectionalLSTMModel,
        EncoderDecoderLSTMModel,
        PretrainedLSTMModel,
        StackedLSTMModel,
        StudentTLikelihood,
        VanillaLSTMModel,
    ]
)
