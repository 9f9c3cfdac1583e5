"""What series may be like: components in any order, samples, static covariates."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.likelihood_models.torch import LaplaceLikelihood
from pytorch_lightning.callbacks import EarlyStopping

from lstm_forecasters.darts import VanillaLSTMModel
from lstm_forecasters.errors import CovariateError

N_STEPS = 60


@pytest.fixture
def pair(monthly):
    """A series of two components of different levels."""
    values = [monthly(level=100, seed=1), monthly(level=1000, seed=2)]
    times = values[0].time_index
    stacked = np.concatenate([one.values() for one in values], 1)
    return TimeSeries.from_times_and_values(times, stacked, columns=["low", "high"])


@pytest.fixture
def described(pair):
    """The same series with static covariates of each component."""
    static = pd.DataFrame({"size": [1.0, 2.0], "age": [3.0, 5.0]})
    return pair.with_static_covariates(static)


@pytest.mark.parametrize("n", [4, 15])
def test_forecasts_keep_the_order_of_the_components(make, pair, n):
    model = make(joint_channels=True, likelihood="quantile").fit(pair)
    turned = pair[["high", "low"]]
    expected = model.predict(n, series=pair, num_samples=3, random_state=1)
    found = model.predict(n, series=turned, num_samples=3, random_state=1)
    assert list(found.components) == ["high", "low"]
    for name in ("low", "high"):
        np.testing.assert_allclose(
            found[name].all_values(), expected[name].all_values(), rtol=1e-6
        )


def test_parameters_keep_the_order_of_the_components(small, pair):
    model = VanillaLSTMModel(joint_channels=True, likelihood="quantile", **small)
    model.fit(pair)
    expected = model.predict(5, predict_likelihood_parameters=True)
    found = model.predict(
        5, series=pair[["high", "low"]], predict_likelihood_parameters=True
    )
    for name in expected.components:
        np.testing.assert_allclose(
            found[name].values(), expected[name].values(), rtol=1e-6
        )


def test_a_backtest_does_not_depend_on_the_order_of_the_components(small, pair):
    model = VanillaLSTMModel(joint_channels=True, **small).fit(pair)
    errors = [
        model.backtest(one, start=40, retrain=False, forecast_horizon=3)
        for one in (pair, pair[["high", "low"]])
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-6)


def test_the_latest_complete_windows_are_kept(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    dataset = model._build_train_dataset([pair], None, None, None, 3)
    assert sorted(dataset.steps.tolist()) == [N_STEPS - 8, N_STEPS - 7, N_STEPS - 6]
    assert not np.isnan(dataset[0].future_target).any()


def test_strides_count_from_the_last_complete_window(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    dataset = model._build_train_dataset([pair], None, None, None, None, stride=20)
    assert sorted(dataset.steps.tolist()) == [14, 34, 54]


def test_a_short_series_gives_a_window_in_spite_of_a_stride(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    given = [pair, pair[:4]]
    dataset = model._build_train_dataset(given, None, None, None, None, stride=7)
    assert dataset.steps[dataset.series == 1].tolist() == [1]


def test_samples_of_a_series_count_by_their_medians(small, monthly):
    single = monthly()
    noise = np.linspace(-1, 1, 5)[None, None]
    values = single.all_values() + noise
    several = TimeSeries.from_times_and_values(single.time_index, values)
    expected = VanillaLSTMModel(**small).fit(single).predict(8).values()
    found = VanillaLSTMModel(**small).fit(several).predict(8).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_static_covariates_of_some_series_only_are_refused(small, monthly):
    with_size = monthly().with_static_covariates(pd.DataFrame({"size": [1.0]}))
    for given in ([monthly(), with_size], [with_size, monthly()]):
        with pytest.raises(CovariateError, match="static covariates"):
            VanillaLSTMModel(**small).fit(given)
        VanillaLSTMModel(use_static_covariates=False, **small).fit(given)


@pytest.mark.parametrize("joint_channels", [False, True])
def test_static_covariates_of_components_travel_with_the_network(
    small, described, joint_channels
):
    model = VanillaLSTMModel(joint_channels=joint_channels, **small).fit(described)
    other = VanillaLSTMModel.from_network(model.network_)
    expected = model.predict(9).values()
    found = other.predict(9, series=described).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    turned = described.with_static_covariates(described.static_covariates.iloc[:, ::-1])
    found = other.predict(9, series=turned).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_channels_forecast_alone_may_be_fewer(small, described):
    model = VanillaLSTMModel(**small).fit(described)
    expected = model.predict(6, series=described)["low"].values()
    found = model.predict(6, series=described["low"]).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_network_with_a_likelihood_of_darts_moves_to_another_model(small, monthly):
    model = VanillaLSTMModel(likelihood=LaplaceLikelihood(), **small).fit(monthly())
    other = VanillaLSTMModel.from_network(model.network_)
    assert other.likelihood == LaplaceLikelihood()
    expected = model.predict(5, predict_likelihood_parameters=True).values()
    found = other.predict(5, series=monthly(), predict_likelihood_parameters=True)
    np.testing.assert_allclose(found.values(), expected, rtol=1e-6)


def test_a_network_that_matched_by_position_still_does(small, monthly):
    covariates = [monthly(seed=1, columns=["x"]), monthly(seed=2, columns=["y"])]
    model = VanillaLSTMModel(**small)
    model.fit([monthly(), monthly(seed=5)], past_covariates=covariates)
    other = VanillaLSTMModel.from_network(model.network_)
    forecasts = [
        one.predict(4, series=monthly(), past_covariates=covariates[1]).values()
        for one in (model, other)
    ]
    np.testing.assert_allclose(*forecasts, rtol=1e-6)


def test_a_frequency_without_a_name_has_no_season(small):
    times = pd.date_range("2020", periods=40, freq=pd.DateOffset(days=2))
    values = np.random.default_rng(0).normal(size=40)
    series = TimeSeries.from_times_and_values(times, values)
    model = VanillaLSTMModel(**small).fit(series)
    assert model.network_.layout.period == 1


def test_the_loss_is_known_when_the_steps_end_within_an_epoch(small, monthly):
    stopping = EarlyStopping("train_loss")
    settings = {**small, "n_epochs": None}
    trainer = {"callbacks": [stopping], "max_steps": 2}
    model = VanillaLSTMModel(pl_trainer_kwargs=trainer, **settings).fit(monthly())
    assert model.trainer.global_step == 2
    assert np.isfinite(float(model.trainer.callback_metrics["train_loss"]))


@pytest.mark.parametrize("kwargs", [{"foreach": True}, {"lr": 1e-3}, {"fused": False}])
def test_the_user_chooses_how_adam_steps(small, monthly, kwargs):
    model = VanillaLSTMModel(optimizer_kwargs=kwargs, **small).fit(monthly())
    group = model.trainer.optimizers[0].param_groups[0]
    for name, value in kwargs.items():
        assert group[name if name != "lr" else "initial_lr"] == value
