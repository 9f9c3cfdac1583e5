"""Bad input: a clear error before any training, and nothing lost by it."""

import inspect

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from darts import TimeSeries, concatenate
from numpy.testing import assert_array_equal

from lstm_forecasters.darts import (
    EncoderDecoderLSTMModel,
    StackedLSTMModel,
    VanillaLSTMModel,
)
from lstm_forecasters.darts.module import LSTMModule
from lstm_forecasters.errors import (
    CovariateError,
    DataError,
    LSTMForecastersError,
    ParameterError,
    ParameterTypeError,
)


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


@pytest.fixture
def no_training(monkeypatch):
    """Let every training fail the test."""
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: pytest.fail("training"))


@pytest.fixture
def new(no_training, make):
    """Return a function that constructs a model that must not train."""
    return make


@pytest.fixture
def static(monthly):
    """Return a function that gives a series static covariates."""

    def give(series, **columns):
        return series.with_static_covariates(pd.DataFrame(columns, index=[0]))

    return give


@pytest.fixture
def known(monthly, static):
    """Arguments of fit: a series and covariates of every kind."""
    return {
        "series": static(monthly(50), size=2.0, share=0.5),
        "past_covariates": monthly(50, 3.0, 5, columns=["p"]),
        "future_covariates": monthly(70, 7.0, 6, columns=["q"]),
    }


@pytest.fixture
def fitted(make, known):
    """A model that was fitted on a series with covariates of every kind."""
    return make().fit(**known)


def with_value(series, step, value):
    """Return a series with another value at a step."""
    values = series.values()
    values[step] = value
    return series.with_values(values)


def state_of(model):
    """Return what a failure must not change."""
    weights = [one.clone() for one in model.network_.state_dict().values()]
    return weights, model.training_series, model.epochs_trained


def assert_unchanged(model, before):
    """Check that a model is what it was."""
    weights, series, epochs = before
    for one, other in zip(model.network_.state_dict().values(), weights, strict=True):
        assert torch.equal(one, other)
    assert model.training_series == series
    assert model.epochs_trained == epochs


# -- types --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["series", "past_covariates", "future_covariates"])
def test_what_is_no_time_series_is_refused_by_its_type(fitted, new, known, name):
    """A frame, an array, and a list in a list, which darts takes for something else."""
    series = known[name]
    for given, received in [
        (series.to_dataframe(), "got DataFrame. Make one by TimeSeries.from_dataframe"),
        (series.to_series(), "got Series"),
        (series.values(), "got ndarray"),
        ([series, [series]], "got a list that holds a list"),
        ([series, None], "got a list that holds a NoneType"),
        ([series.values()], "got a list that holds a ndarray"),
        ("sales", "got str"),
        (3, "got int"),
    ]:
        message = rf"^{name} must be a TimeSeries or a list of them, {received}"
        with pytest.raises(ParameterTypeError, match=message):
            new().fit(**{**known, name: given})
        with pytest.raises(ParameterTypeError, match=message):
            fitted.predict(3, **{**known, name: given})


@pytest.mark.parametrize(
    ("fault", "way", "follow"),
    [
        (
            lambda y: y.to_period("M"),
            r"from_series, after to_timestamp\(\), since",
            lambda y: TimeSeries.from_series(y.to_timestamp()),
        ),
        (
            lambda y: y.iloc[np.r_[:21, 20 : len(y)]],
            r"from_series, after groupby\(level=0\).mean\(\) .*such as 2016-09-01",
            lambda y: TimeSeries.from_series(y.groupby(level=0).mean()),
        ),
        (
            lambda y: y.drop(y.index[20])[::-1],
            "from_series, with fill_missing_dates=True and freq if time stamps are mis",
            lambda y: TimeSeries.from_series(y, fill_missing_dates=True, freq="MS"),
        ),
    ],
    ids=["periods", "duplicate time stamps", "missing time stamps"],
)
def test_of_what_darts_makes_no_series_the_way_to_one_is_told(
    new, known, fault, way, follow
):
    """Of a frame, too, and of one in a list; and the way leads there."""
    y = known["series"].to_series()
    with pytest.raises((TypeError, ValueError)):
        TimeSeries.from_series(fault(y))
    assert follow(fault(y)).time_index.equals(known["series"].time_index)
    for given in (fault(y), [fault(y)]):
        with pytest.raises(ParameterTypeError, match=way):
            new().fit(given)
    frame = way.replace("from_series", "from_dataframe")
    with pytest.raises(ParameterTypeError, match=frame):
        new().fit(fault(y).to_frame())
    turned = y.iloc[np.r_[20 : len(y), :20]]
    for whole in (y[::-1], turned, y.iloc[:2], y.reset_index(drop=True)):
        with pytest.raises(ParameterTypeError, match=r"from_series\.$"):
            new().fit(whole)
    with pytest.raises(ParameterTypeError, match="from_series, with fill_missing_date"):
        new().fit(y.iloc[[0, 1, 3]])


def test_validation_series_are_looked_at_too(new, known):
    with pytest.raises(ParameterTypeError, match="val_series must be a TimeSeries"):
        new().fit(**known, val_series=[known["series"].to_dataframe()])


# -- parameters ---------------------------------------------------------------------

VALUES = [
    ("input_chunk_length", 0, "input_chunk_length must be at least 1, got 0"),
    ("input_chunk_length", -3, "input_chunk_length must be at least 1, got -3"),
    ("output_chunk_length", 0, "output_chunk_length must be at least 1, got 0"),
    ("output_chunk_shift", -1, "output_chunk_shift must be at least 0, got -1"),
    ("season_length", 0, "season_length must be at least 1, got 0"),
    ("season_length", 13, "season_length=13 is longer than input_chunk_length=12"),
    ("hidden_size", 0, "hidden_size must be at least 1, got 0"),
    ("segment_length", 0, "segment_length must be at least 1, got 0"),
    ("n_epochs", 0, "n_epochs must be at least 1, got 0"),
    ("batch_size", -1, "batch_size must be at least 1, got -1"),
    ("likelihood", "norml", "likelihood='norml' is unknown. Did you mean 'normal'"),
    ("fine_tune_steps", -1, "fine_tune_steps must be at least 0, got -1"),
]
TYPES = [
    ("input_chunk_length", 12.0, "input_chunk_length must be an integer of at least 1"),
    ("input_chunk_length", "12", "got '12' of type str"),
    ("output_chunk_length", None, "output_chunk_length must be an integer"),
    ("output_chunk_shift", True, "output_chunk_shift must be an integer"),
    ("season_length", "monthly", "season_length must be an integer"),
    ("hidden_size", 8.5, "hidden_size must be an integer.*got 8.5 of type float"),
    ("linear_path", "yes", "linear_path must be True or False"),
    ("joint_channels", 1, "joint_channels must be True or False, got 1"),
    ("use_static_covariates", None, "use_static_covariates must be True or False"),
    ("n_epochs", 2.5, "n_epochs must be an integer"),
    ("batch_size", "all", "batch_size must be an integer"),
    ("likelihood", 3, "likelihood must be None, one of"),
    ("loss_fn", "mse", r"loss_fn must be a torch loss such as torch.nn.MSELoss\(\)"),
    ("fine_tune_steps", 2.5, "fine_tune_steps must be an integer of at least 0"),
]


@pytest.fixture
def make_with(make):
    """Return a function that sets a parameter of a model that has it."""

    def make_or_skip(name, value):
        if name not in inspect.signature(type(make()).__init__).parameters:
            pytest.skip(f"it has no {name}")
        return make(**{name: value})

    return make_or_skip


@pytest.mark.parametrize(("name", "value", "message"), VALUES)
def test_values_that_cannot_work_are_refused(make_with, name, value, message):
    with pytest.raises(ParameterError, match=message):
        make_with(name, value)


@pytest.mark.parametrize(("name", "value", "message"), TYPES)
def test_types_that_cannot_work_are_refused(make_with, name, value, message):
    with pytest.raises(ParameterTypeError, match=message):
        make_with(name, value)


@pytest.mark.parametrize(
    ("owner", "name", "value", "message"),
    [
        (StackedLSTMModel, "num_layers", 0, "num_layers must be at least 1"),
        (StackedLSTMModel, "dropout", 1.0, r"dropout must lie in \[0, 1\)"),
        (StackedLSTMModel, "dropout", -0.1, r"dropout must lie in \[0, 1\)"),
        (StackedLSTMModel, "dropout", "0.1", "dropout must be a number from 0"),
        (EncoderDecoderLSTMModel, "reverse_lookback", 1, "must be True or False"),
    ],
)
def test_settings_of_some_architectures(small, owner, name, value, message):
    with pytest.raises((ParameterError, ParameterTypeError), match=message):
        owner(**{**small, name: value})


def test_unknown_parameters_are_refused(make):
    with pytest.raises((TypeError, ValueError), match="hidden_sise"):
        make(hidden_sise=8)


@pytest.mark.parametrize("n", [0, -1])
def test_a_horizon_that_makes_no_sense_is_refused(fitted, known, n):
    with pytest.raises(ValueError, match=f"n must be at least 1, got {n}|n.*integer"):
        fitted.predict(n, **known)
    for odd in (2.5, "3", None):
        with pytest.raises(ParameterTypeError, match="n must be an integer"):
            fitted.predict(odd, **known)


def test_numbers_of_samples_and_of_steps_to_roll_that_make_no_sense_are_refused(
    small, known, monkeypatch
):
    model = VanillaLSTMModel(**small, likelihood="quantile").fit(**known)
    assert model.predict(2, **known, num_samples=np.int64(3)).n_samples == 3
    monkeypatch.setattr(LSTMModule, "predict_step", lambda *_: pytest.fail("forecast"))
    for number in (2.5, "3"):
        message = f"num_samples must be an integer of at least 1, got {number!r}"
        with pytest.raises(ParameterTypeError, match=message):
            model.predict(2, **known, num_samples=number)
        with pytest.raises(ParameterTypeError, match=message):
            model.historical_forecasts(**known, num_samples=number, retrain=False)
    with pytest.raises(ParameterError, match="num_samples must be at least 1, got 0"):
        model.predict(2, **known, num_samples=0)
    with pytest.raises(ParameterTypeError, match=r"roll_size must be .*got 2\.5"):
        model.predict(9, **known, roll_size=2.5)


def test_a_shifted_output_does_not_go_on(small, monthly):
    model = VanillaLSTMModel(**small, output_chunk_shift=3).fit(monthly())
    assert model.predict(6).n_timesteps == 6
    with pytest.raises(ValueError, match="output_chunk_shift"):
        model.predict(7)


# -- series -------------------------------------------------------------------------


def test_a_series_without_values_is_refused(new, monthly):
    nothing = monthly(30).with_values(np.full((30, 1), np.nan))
    message = r"all 30 values of the series are missing \(NaN\): there is nothing to"
    with pytest.raises(DataError, match=message):
        new().fit(nothing)
    with pytest.raises(DataError, match="all 60 values of the series are missing"):
        new().fit([nothing, nothing])
    half = monthly(30, columns=["seen"]).stack(nothing.with_columns_renamed("0", "no"))
    with pytest.raises(DataError, match="all 30 values of component 'no' are missing"):
        new().fit(half)


def test_a_series_without_time_steps_is_refused(fitted, new, known, monthly):
    with pytest.raises(DataError, match=r"the series is empty\. Pass one with obs"):
        new().fit(monthly()[:0])
    with pytest.raises(DataError, match=r"series 1 is empty\. Leave it out"):
        new().fit([monthly(), monthly()[:0]])
    with pytest.raises(DataError, match="empty"):
        fitted.predict(6, **{**known, "series": known["series"][:0]})
    for nothing in ([], ()):
        with pytest.raises(DataError, match="the list of series is empty"):
            new().fit(nothing)
        with pytest.raises(DataError, match="the list of series is empty"):
            fitted.predict(6, nothing)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["series", "past_covariates", "future_covariates"])
def test_infinite_values_are_refused_and_named(new, known, name, value):
    spoilt = {**known, name: with_value(known[name], 7, value)}
    kind = "target" if name == "series" else name
    message = f"{kind} of series 0 has an infinite value. Replace it, by NaN"
    with pytest.raises(DataError, match=message):
        new().fit(**spoilt)


def test_values_that_add_up_to_infinity_are_refused(new, monthly):
    message = r"target of series 0 has the value 1e\+305.* magnitude is 1e\+300"
    with pytest.raises(DataError, match=message):
        new().fit(with_value(monthly(), 3, 1e305))


def test_the_series_with_an_infinite_value_is_named(new, monthly):
    spoilt = with_value(monthly(40), 0, np.inf)
    with pytest.raises(DataError, match="target of series 2 has an infinite value"):
        new().fit([monthly(), monthly(), spoilt, monthly()])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_static_covariates_are_refused(new, monthly, static, value):
    given = [static(monthly(), size=2.0), static(monthly(), size=value)]
    message = "static_covariates of series 1 has an infinite value. Replace it, by NaN"
    with pytest.raises(DataError, match=message):
        new().fit(given)


def test_an_empty_list_is_refused(new):
    with pytest.raises(ValueError, match=r"empty|at least one"):
        new().fit([])


def test_an_empty_list_is_not_forecast(fitted):
    with pytest.raises(ValueError, match=r"empty|at least one"):
        fitted.predict(6, [])


def test_series_of_unequal_components_are_refused(new, monthly):
    two = concatenate([monthly(), monthly()], axis=1)
    message = "series 0 has 1 components, but series 1 has 2. Pass series with equally"
    with pytest.raises(DataError, match=message):
        new().fit([monthly(), two])


def test_a_fit_without_a_series_is_refused(new):
    with pytest.raises(DataError, match="Pass a TimeSeries"):
        new().fit(None)


def test_a_single_value_is_too_short(new, monthly):
    with pytest.raises(ValueError, match="too short"):
        new().fit(monthly(1))


# -- covariates of the fit ----------------------------------------------------------

COVARIATES = {
    "past-starts-late": (
        {"past_covariates": lambda s: s[3:]},
        r"past_covariates of series 0 must cover 2015-01-01.*go from 2015-04-01.*NaN",
    ),
    "past-ends-early": (
        {"past_covariates": lambda s: s[:43]},
        r"past_covariates of series 0 must cover 2018-08-01.* to 2018-07-01.*Pass long",
    ),
    "future-starts-late": (
        {"future_covariates": lambda s: s[1:]},
        r"future_covariates of series 0 must cover 2015-01-01",
    ),
    "future-ends-early": (
        {"future_covariates": lambda s: s[:49]},
        r"future_covariates of series 0 must cover 2019-02-01.* to 2019-01-01",
    ),
    "another-frequency": (
        {"past_covariates": lambda s: s.resample("D")},
        r"past_covariates of series 0 have the frequency <Day>.*MonthBegin.*Resample",
    ),
    "off-the-grid": (
        {"series": lambda s: as_of(s, "2D"), "past_covariates": lambda s: as_of(s)},
        r"begin at 2020-01-02.*, which is no time step of the series: it begins at",
    ),
}


def as_of(series, freq=None):
    """Return a series every other day, from the first or the second of January."""
    start = "2020-01-01" if freq else "2020-01-02"
    times = pd.date_range(start, periods=len(series), freq="2D")
    moved = TimeSeries.from_times_and_values(times, series.values())
    return moved if freq is None else moved.with_static_covariates(None)


@pytest.mark.parametrize(("changes", "message"), COVARIATES.values(), ids=COVARIATES)
def test_covariates_that_do_not_fit_are_refused(new, known, changes, message):
    spoilt = {
        **known,
        **{name: change(known[name]) for name, change in changes.items()},
    }
    if "series" in changes:
        del spoilt["future_covariates"]
    with pytest.raises(CovariateError, match=message):
        new().fit(**spoilt)


def test_past_covariates_may_lack_the_last_targets(small, known):
    """What no window reads need not be known."""
    known["past_covariates"] = known["past_covariates"][:44]
    VanillaLSTMModel(**small).fit(**known)


def test_fewer_covariates_than_series_are_refused(new, known, monthly):
    series = [monthly(50), monthly(50)]
    for name in ("past_covariates", "future_covariates"):
        with pytest.raises(ValueError, match=r"1 .* 2|same|length|match"):
            new().fit(series, **{name: [known[name]]})


def test_covariates_of_unequal_components_are_refused(new, known, monthly):
    one = known["past_covariates"]
    two = concatenate([one, monthly(50, columns=["r"])], axis=1)
    message = "past_covariates of series 0 have 1 components, but those of series 1"
    with pytest.raises(CovariateError, match=message):
        new().fit([monthly(50)] * 2, past_covariates=[one, two])


def test_static_covariates_must_be_numbers(new, monthly, static):
    with pytest.raises(ValueError, match=r"numeric static covariate.*encoding"):
        new().fit(static(monthly(), kind="shop"))


def test_static_covariates_must_be_alike(new, monthly, static):
    message = r"static covariates of one shape, got the shapes.*\(1, 1\)"
    with pytest.raises(CovariateError, match=message):
        new().fit([static(monthly(), a=1.0), static(monthly(), a=1.0, b=2.0)])
    message = "some of the series have static covariates and others have none"
    with pytest.raises(CovariateError, match=message):
        new().fit([static(monthly(), a=1.0), monthly()])
    with pytest.raises(CovariateError, match=message):
        new().fit([monthly(), static(monthly(), a=1.0)])


# -- weights ------------------------------------------------------------------------


def test_negative_weights_are_refused(new, monthly):
    weight = with_value(monthly(), 20, -0.5)
    with pytest.raises(
        DataError, match=r"sample_weight must not be negative, got -0.5"
    ):
        new().fit(monthly(), sample_weight=weight)


def test_infinite_weights_are_refused(new, monthly):
    weights = [monthly(), with_value(monthly(), 20, np.inf)]
    message = "sample_weight of series 1 has an infinite value. Replace it"
    with pytest.raises(DataError, match=message):
        new().fit([monthly(), monthly()], sample_weight=weights)


def test_missing_weights_count_as_zero(small, monthly):
    forecasts = [
        VanillaLSTMModel(**small)
        .fit(monthly(), sample_weight=with_value(monthly(), 40, value))
        .predict(6)
        .values()
        for value in (np.nan, 0.0)
    ]
    assert_array_equal(*forecasts)


def test_weights_must_cover_the_targets(new, monthly):
    for weight in (monthly()[:50], monthly()[20:]):
        with pytest.raises(ValueError, match=r"weights? of series 0 must cover"):
            new().fit(monthly(), sample_weight=weight)


def test_unknown_words_for_weights_are_refused(new, monthly):
    with pytest.raises(ValueError, match=r"sample_weight|linear"):
        new().fit(monthly(), sample_weight="quadratic")


# -- forecasts ----------------------------------------------------------------------


def test_a_window_without_values_is_refused(fitted, known):
    """It is named, and the same model forecasts the others."""
    before = state_of(fitted)
    expected = fitted.predict(6, **known)
    spoilt = with_value(known["series"], slice(-12, None), np.nan)
    message = (
        r"the last 12 values of component '0' of series 1 before 2019-03-01.* are all "
        "missing: there is nothing to forecast from"
    )
    with pytest.raises(DataError, match=message):
        fitted.predict(
            6,
            [known["series"], spoilt],
            past_covariates=[known["past_covariates"]] * 2,
            future_covariates=[known["future_covariates"]] * 2,
        )
    assert fitted.predict(6, **known) == expected
    assert_unchanged(fitted, before)
    single = with_value(known["series"], slice(-11, None), np.nan)
    assert np.isfinite(fitted.predict(6, **{**known, "series": single}).values()).all()


PREDICTIONS = {
    "future-too-short": (
        {"future_covariates": lambda s: s[:55]},
        r"future_covariates of series 0 must cover 2019-08-01.* to 2019-07-01",
    ),
    "future-starts-late": (
        {"future_covariates": lambda s: s[40:]},
        r"future_covariates of series 0 must cover 2018-03-01",
    ),
    "past-too-short": (
        {"past_covariates": lambda s: s[:49]},
        r"past_covariates of series 0 must cover 2019-02-01",
    ),
    "past-starts-late": (
        {"past_covariates": lambda s: s[40:]},
        r"past_covariates of series 0 must cover 2018-03-01",
    ),
    "past-renamed": (
        {"past_covariates": lambda s: s.with_columns_renamed("p", "r")},
        r"trained with the past_covariates \['p'\], but got \['r'\]",
    ),
    "future-renamed": (
        {"future_covariates": lambda s: s.with_columns_renamed("q", "r")},
        r"trained with the future_covariates \['q'\], but got \['r'\]",
    ),
    "static-renamed": (
        {"series": lambda s: with_static(s, size=2.0, part=0.5)},
        r"trained with the static covariates \['size', 'share'\], but got \['size', 'p",
    ),
    "static-words": (
        {"series": lambda s: with_static(s, size="big", share=0.5)},
        r"numeric static covariate",
    ),
    "infinite": (
        {"series": lambda s: with_value(s, 45, np.inf)},
        r"target of series 0 has an infinite value",
    ),
    "infinite-static": (
        {"series": lambda s: with_static(s, size=2.0, share=-np.inf)},
        r"static_covariates of series 0 has an infinite value",
    ),
    "infinite-future": (
        {"future_covariates": lambda s: with_value(s, 52, np.inf)},
        r"future_covariates of series 0 has an infinite value",
    ),
    "another-frequency": (
        {"future_covariates": lambda s: s.resample("D")},
        r"have the frequency <Day>",
    ),
}


def with_static(series, **columns):
    return series.with_static_covariates(pd.DataFrame(columns, index=[0]))


@pytest.mark.parametrize(("changes", "message"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_a_forecast_from_bad_input_is_refused(fitted, known, changes, message):
    before = state_of(fitted)
    expected = fitted.predict(6, **known).values()
    spoilt = {
        **known,
        **{name: change(known[name]) for name, change in changes.items()},
    }
    with pytest.raises(ValueError, match=message) as caught:
        fitted.predict(6, **spoilt)
    if "numeric" not in message:  # which darts itself refuses
        assert isinstance(caught.value, DataError)
    assert_array_equal(fitted.predict(6, **known).values(), expected)
    assert_unchanged(fitted, before)


@pytest.mark.parametrize("name", ["past_covariates", "future_covariates"])
def test_covariates_of_the_fit_are_needed_again(small, known, name):
    """Of a single series darts remembers them, of several it does not."""
    several = {key: [one, one] for key, one in known.items()}
    model = VanillaLSTMModel(**small).fit(**several)
    given = {key: one for key, one in known.items() if key != name}
    with pytest.raises(ValueError, match=name):
        model.predict(6, **given)


def test_static_covariates_of_the_fit_are_needed_again(fitted, known):
    bare = known["series"].with_static_covariates(None)
    with pytest.raises(ValueError, match="static"):
        fitted.predict(6, **{**known, "series": bare})


def test_covariates_that_the_model_does_not_know_are_refused(small, known, monthly):
    model = VanillaLSTMModel(**small).fit(monthly(50))
    for name in ("past_covariates", "future_covariates"):
        with pytest.raises(ValueError, match=name):
            model.predict(6, monthly(50), **{name: known[name]})


def test_names_in_another_order_are_the_same(small, known, monthly):
    """Columns are matched by their names, never by their places."""
    more = monthly(50, 90.0, 8, columns=["r"])
    known["past_covariates"] = concatenate([known["past_covariates"], more], axis=1)
    swapped = {**known, "past_covariates": known["past_covariates"][["r", "p"]]}
    swapped["series"] = with_static(known["series"], share=0.5, size=2.0)
    for one, other in ((known, swapped), (swapped, known)):
        model = VanillaLSTMModel(**small).fit(**one)
        expected = model.predict(6, **one).values()
        assert_array_equal(model.predict(6, **other).values(), expected)


def test_a_model_must_be_fitted_first(make, monthly):
    with pytest.raises(ValueError, match="fit"):
        make().predict(6)
    with pytest.raises(ValueError, match="fit"):
        make().predict(6, monthly())


# -- what a failure leaves ----------------------------------------------------------

REFITS = {
    "infinite": ({"series": lambda s: with_value(s, 5, np.inf)}, "infinite value"),
    "all-missing": (
        {"series": lambda s: s.with_values(np.full((50, 1), np.nan))},
        "nothing to learn from",
    ),
    "renamed": (
        {"past_covariates": lambda s: s.with_columns_renamed("p", "r")},
        "trained with the past_covariates",
    ),
    "too-short": ({"future_covariates": lambda s: s[:40]}, "must cover"),
}


@pytest.mark.parametrize(("changes", "message"), REFITS.values(), ids=REFITS)
def test_a_failed_second_fit_leaves_the_first(fitted, known, changes, message):
    before = state_of(fitted)
    expected = fitted.predict(6).values()
    spoilt = {
        **known,
        **{name: change(known[name]) for name, change in changes.items()},
    }
    with pytest.raises(DataError, match=message):
        fitted.fit(**spoilt)
    weights, _, epochs = before
    for one, other in zip(fitted.network_.state_dict().values(), weights, strict=True):
        assert torch.equal(one, other)
    assert fitted.epochs_trained == epochs
    assert_array_equal(fitted.predict(6, **known).values(), expected)


def test_a_failed_first_fit_can_be_repeated(small, known):
    model = VanillaLSTMModel(**small)
    spoilt = {**known, "series": with_value(known["series"], 5, np.inf)}
    with pytest.raises(DataError):
        model.fit(**spoilt)
    with pytest.raises(LSTMForecastersError):
        model.network_  # noqa: B018
    again = model.fit(**known).predict(6).values()
    assert np.isfinite(again).all()


def test_names_of_a_failed_first_fit_are_forgotten(small, known):
    """What was never learnt binds nobody."""
    model = VanillaLSTMModel(**small)
    other = known["past_covariates"].with_columns_renamed("p", "other")
    bad = with_value(known["series"], 5, np.inf)
    with pytest.raises(DataError):
        model.fit(**{**known, "series": bad, "past_covariates": other})
    model.fit(**known)
    assert model.network_.layout.past_covariates == ("p",)


def test_nothing_that_is_passed_is_changed(small, known):
    copies = {name: one.copy() for name, one in known.items()}
    model = VanillaLSTMModel(**small).fit(**known, sample_weight="linear")
    model.predict(10, **known, num_samples=1)
    model.historical_forecasts(**known, retrain=False)
    for name, one in known.items():
        assert one == copies[name]
        assert_array_equal(one.values(), copies[name].values())
