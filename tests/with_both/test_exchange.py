"""One trained network in both ecosystems: classes and files, there and back."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.likelihood_models.torch import LaplaceLikelihood

from lstm_forecasters import darts, sktime
from lstm_forecasters.errors import FileFormatError, ParameterError

STEMS = ["VanillaLSTM", "StackedLSTM", "BidirectionalLSTM", "EncoderDecoderLSTM"]
N_STEPS, HORIZON = 60, 6
TIMES = pd.period_range("2015-01", periods=N_STEPS + 20, freq="M")
SMALL = {"hidden_size": 8, "batch_size": 16, "random_state": 3}


@pytest.fixture(params=STEMS)
def sides(request):
    """The darts class and the sktime class of each architecture."""
    model_class = getattr(darts, f"{request.param}Model")
    return model_class, getattr(sktime, f"{request.param}Forecaster")


@pytest.fixture
def y():
    """A monthly series with a gap."""
    step = np.arange(N_STEPS)
    noise = np.random.default_rng(1).normal(size=N_STEPS)
    values = 100 + step + 10 * np.sin(2 * np.pi * step / 12) + noise
    values[30:33] = np.nan
    return pd.DataFrame({"a": values}, index=TIMES[:N_STEPS])


@pytest.fixture
def X():
    """One covariate that ends at the cutoff, and one that is known ahead."""
    values = np.random.default_rng(2).normal(size=(len(TIMES), 2))
    return pd.DataFrame(values, index=TIMES, columns=["past", "ahead"])


def as_series(frame):
    """Return a frame as a TimeSeries."""
    times = frame.index.to_timestamp()
    return TimeSeries.from_times_and_values(
        times, frame.to_numpy(), columns=list(frame)
    )


def darts_forecast(model, y, X, n, **settings):
    """Forecast with a darts model, which sees the past covariate up to the cutoff."""
    return model.predict(
        n,
        series=as_series(y),
        past_covariates=as_series(X[["past"]].iloc[:N_STEPS]),
        future_covariates=as_series(X[["ahead"]]),
        show_warnings=False,
        **settings,
    )


def fit_darts(model_class, y, X, **settings):
    """Return a small darts model that has learnt for two epochs."""
    model = model_class(12, HORIZON, n_epochs=2, **SMALL, **settings)
    return model.fit(
        as_series(y),
        past_covariates=as_series(X[["past"]]),
        future_covariates=as_series(X[["ahead"]]),
    )


def fit_sktime(forecaster_class, y, X, **settings):
    """Return a small sktime forecaster that has learnt for some steps."""
    forecaster = forecaster_class(
        max_steps=15, past_covariates=["past"], **SMALL, **settings
    )
    return forecaster.fit(y, X=X.iloc[:N_STEPS], fh=range(1, HORIZON + 1))


def ahead(X, n):
    """Return the covariates of the steps to be forecast."""
    return X.iloc[N_STEPS : N_STEPS + n]


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_sktime_forecasts_what_darts_learnt(sides, y, X, likelihood):
    model_class, forecaster_class = sides
    model = fit_darts(model_class, y, X, likelihood=likelihood)
    forecaster = forecaster_class.from_network(model.network_)
    forecaster.fit(y, X=X.iloc[:N_STEPS])
    for n in (HORIZON, 2 * HORIZON + 3):
        expected = forecaster.predict(fh=range(1, n + 1), X=ahead(X, n))
        found = darts_forecast(model, y, X, n).values()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_darts_forecasts_what_sktime_learnt(sides, y, X):
    model_class, forecaster_class = sides
    forecaster = fit_sktime(forecaster_class, y, X)
    model = model_class.from_network(forecaster.network_)
    found = darts_forecast(model, y, X, HORIZON)
    expected = forecaster.predict(X=ahead(X, HORIZON))
    np.testing.assert_allclose(found.values(), expected, rtol=1e-6)
    levels = forecaster.network_.likelihood.levels
    expected = forecaster.predict_quantiles(X=ahead(X, HORIZON), alpha=list(levels))
    found = darts_forecast(model, y, X, HORIZON, predict_likelihood_parameters=True)
    np.testing.assert_allclose(found.values(), expected, rtol=1e-6)


def test_files_of_darts_open_in_sktime(sides, y, X, tmp_path):
    model_class, forecaster_class = sides
    model = fit_darts(model_class, y, X, likelihood="quantile")
    model.to_file(tmp_path / "model.safetensors")
    forecaster = forecaster_class.from_file(tmp_path / "model.safetensors")
    forecaster.fit(y, X=X.iloc[:N_STEPS])
    expected = forecaster.predict(fh=range(1, HORIZON + 1), X=ahead(X, HORIZON))
    found = darts_forecast(model, y, X, HORIZON).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert forecaster.get_params()["past_covariates"] == ["past"]
    assert forecaster.window_length == 12
    assert forecaster.horizon == HORIZON


@pytest.mark.parametrize("keep_context", [True, False])
def test_files_of_sktime_open_in_darts(sides, y, X, tmp_path, keep_context):
    model_class, forecaster_class = sides
    forecaster = fit_sktime(forecaster_class, y, X)
    forecaster.to_file(tmp_path / "one.safetensors", keep_context=keep_context)
    model = model_class.from_file(tmp_path / "one.safetensors")
    expected = forecaster.predict(X=ahead(X, HORIZON))
    found = darts_forecast(model, y, X, HORIZON).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_of_two_networks_in_a_file_darts_takes_the_fitted_one(sides, y, X, tmp_path):
    model_class, forecaster_class = sides
    forecaster = forecaster_class(
        max_steps=5, fine_tune_steps=5, past_covariates=["past"], **SMALL
    )
    known = X.iloc[:N_STEPS]
    panel = [
        pd.concat({0: one, 1: one}, names=["series", "time"]) for one in (y, known)
    ]
    forecaster.pretrain(panel[0], X=panel[1], fh=range(1, HORIZON + 1))
    forecaster.fit(y, X=known, fh=range(1, HORIZON + 1))
    forecaster.to_file(tmp_path / "two.safetensors", keep_context=True)
    model = model_class.from_file(tmp_path / "two.safetensors")
    expected = forecaster.predict(X=ahead(X, HORIZON))
    found = darts_forecast(model, y, X, HORIZON).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_ensembles_forecast_the_same_on_both_sides(sides, y, X, tmp_path):
    model_class, forecaster_class = sides
    model = fit_darts(model_class, y, X, likelihood="normal", n_members=3)
    forecaster = fit_sktime(forecaster_class, y, X, likelihood="normal", n_members=3)
    model.to_file(tmp_path / "darts.safetensors")
    forecaster.to_file(tmp_path / "sktime.safetensors")
    opened = forecaster_class.from_file(tmp_path / "darts.safetensors")
    opened.fit(y, X=X.iloc[:N_STEPS])
    assert opened.n_members == 3
    pairs = [(model, opened)]
    pairs.append((model_class.from_file(tmp_path / "sktime.safetensors"), forecaster))
    for one, other in pairs:
        for n in (HORIZON, 2 * HORIZON + 3):
            expected = other.predict(fh=range(1, n + 1), X=ahead(X, n))
            found = darts_forecast(one, y, X, n).values()
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        found = darts_forecast(one, y, X, HORIZON, predict_likelihood_parameters=True)
        steps = {"fh": range(1, HORIZON + 1), "X": ahead(X, HORIZON)}
        variances = other.predict_var(**steps).to_numpy()[:, 0]
        np.testing.assert_allclose(found.values()[:, 1] ** 2, variances, rtol=1e-6)


def test_a_week_beside_the_day_counts_the_same_on_both_sides():
    hours = pd.date_range("2024-01-01", periods=5 * 168, freq="h")
    step = np.arange(len(hours))
    noise = np.random.default_rng(4).normal(size=len(hours))
    values = 9 * (step // 24 % 7 < 5) + 5 * np.sin(2 * np.pi * step / 24) + noise
    y = pd.DataFrame({"a": values}, index=hours)
    forecaster = sktime.VanillaLSTMForecaster(max_steps=5, horizon=24, **SMALL).fit(y)
    assert forecaster.network_.layout.references == (1, 7)
    model = darts.VanillaLSTMModel.from_network(forecaster.network_)
    series = TimeSeries.from_dataframe(y)
    expected = forecaster.predict(fh=range(1, 31))
    found = model.predict(30, series=series, show_warnings=False).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    own = darts.VanillaLSTMModel(336, 24, n_epochs=1, **SMALL).fit(series)
    assert own.network_.layout.references == (1, 7)
    taken = sktime.VanillaLSTMForecaster.from_network(own.network_).fit(y)
    expected = own.predict(30, series=series, show_warnings=False).values()
    found = taken.predict(fh=range(1, 31))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_network_makes_the_journey_and_comes_back(sides, y, X):
    model_class, forecaster_class = sides
    model = fit_darts(model_class, y, X)
    forecaster = forecaster_class.from_network(model.network_)
    again = model_class.from_network(forecaster.pretrained_network_)
    expected = darts_forecast(model, y, X, 9).values()
    found = darts_forecast(again, y, X, 9).values()
    np.testing.assert_array_equal(found, expected)


def test_each_side_may_train_on_without_changing_the_other(sides, y, X):
    model_class, forecaster_class = sides
    model = fit_darts(model_class, y, X)
    before = darts_forecast(model, y, X, HORIZON).values()
    forecaster = forecaster_class.from_network(model.network_, fine_tune_steps=5)
    forecaster.fit(y, X=X.iloc[:N_STEPS])
    tuned = forecaster.predict(fh=range(1, HORIZON + 1), X=ahead(X, HORIZON))
    assert not np.allclose(tuned, before, rtol=1e-6)
    after = darts_forecast(model, y, X, HORIZON).values()
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"output_chunk_shift": 2}, "output_chunk_shift"),
        ({"likelihood": LaplaceLikelihood()}, "likelihood"),
        ({}, "static_covariates"),
    ],
)
def test_what_sktime_cannot_express_is_named(y, settings, word):
    series = as_series(y)
    if word == "static_covariates":
        series = series.with_static_covariates(pd.DataFrame({"size": [1.0]}))
    model = darts.VanillaLSTMModel(12, HORIZON, n_epochs=1, **SMALL, **settings)
    model.fit(series)
    with pytest.raises(ParameterError, match=word):
        sktime.VanillaLSTMForecaster.from_network(model.network_)


def test_another_architecture_is_refused(y):
    model = darts.VanillaLSTMModel(12, HORIZON, n_epochs=1, **SMALL)
    model.fit(as_series(y))
    with pytest.raises(ParameterError, match="VanillaLSTMForecaster"):
        sktime.StackedLSTMForecaster.from_network(model.network_)


def test_another_architecture_in_a_file_is_refused(y, tmp_path):
    model = darts.VanillaLSTMModel(12, HORIZON, n_epochs=1, **SMALL)
    model.fit(as_series(y)).to_file(tmp_path / "one.safetensors")
    with pytest.raises((ParameterError, FileFormatError), match="VanillaLSTM"):
        sktime.StackedLSTMForecaster.from_file(tmp_path / "one.safetensors")


def test_parameters_of_the_network_are_not_given_twice(y):
    model = darts.VanillaLSTMModel(12, HORIZON, n_epochs=1, **SMALL)
    model.fit(as_series(y))
    with pytest.raises(ParameterError, match="window_length"):
        sktime.VanillaLSTMForecaster.from_network(model.network_, window_length=5)


def test_the_pretrained_network_forecasts_alike_in_both(y, tmp_path):
    """As it is, and fine-tuned in one and read from a file in the other."""
    forecaster = sktime.PretrainedLSTMForecaster(sp=12).fit(y, fh=range(1, 31))
    model = darts.PretrainedLSTMModel(336, 30, season_length=12).fit(as_series(y))
    expected = forecaster.predict().to_numpy()
    np.testing.assert_allclose(model.predict(30).values(), expected, rtol=1e-9)
    tuned = darts.PretrainedLSTMModel(48, 6, fine_tune_steps=3, random_state=0)
    tuned.fit(as_series(y)).to_file(tmp_path / "tuned.safetensors")
    opened = sktime.PretrainedLSTMForecaster.from_file(tmp_path / "tuned.safetensors")
    described = {"window_length": 48, "horizon": 6, "sp": 12, "past_covariates": None}
    assert described.items() <= opened.get_params().items()
    found = opened.fit(y, fh=range(1, 16)).predict().to_numpy()
    np.testing.assert_allclose(found, tuned.predict(15).values(), rtol=1e-9)
    assert np.abs(found - expected[:15]).max() > 1e-6
    opened.to_file(tmp_path / "again.safetensors")
    again = darts.PretrainedLSTMModel.from_file(tmp_path / "again.safetensors")
    both = (one.predict(15, as_series(y)).values() for one in (again, tuned))
    np.testing.assert_array_equal(*both)
