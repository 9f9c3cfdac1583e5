"""A pretrained model in the place of the small ones that other tests construct."""

import inspect

import pytest

from lstm_forecasters.darts import EncoderDecoderLSTMModel, PretrainedLSTMModel

__all__ = ["make_pretrained"]

FIXED = {
    "likelihood": (None, "quantile"),
    "n_members": (1,),
    "joint_channels": (False,),
    "output_chunk_shift": (0,),
    "loss_fn": (None,),
}
STEPS_OF_EPOCH = 3
STEPS_OF_LEARNING = 250
KNOWN, OF_OTHERS = (
    inspect.signature(one.__init__).parameters.keys() - {"self"}
    for one in (PretrainedLSTMModel, EncoderDecoderLSTMModel)
)


def make_pretrained(is_trained, **settings):
    """Return a pretrained model with those settings that it has."""
    for name, values in FIXED.items():
        if name in settings and settings[name] not in values:
            pytest.skip(f"the pretrained network has {name}={values[-1]!r}")
    n_epochs = settings.get("n_epochs", 2)
    steps = (
        STEPS_OF_LEARNING if (n_epochs or 2) > 5 else STEPS_OF_EPOCH * (n_epochs or 2)
    )
    steps = steps if is_trained else 0
    unknown = OF_OTHERS - KNOWN
    given = {name: value for name, value in settings.items() if name not in unknown}
    return PretrainedLSTMModel(**{"fine_tune_steps": steps, **given})
