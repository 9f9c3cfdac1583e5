"""sktime's compositions around the forecasters, each compared with doing it by hand."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.compose import (
    EnsembleForecaster,
    ForecastByLevel,
    ForecastingPipeline,
    TransformedTargetForecaster,
)
from sktime.forecasting.conformal import ConformalIntervals
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.reconcile import ReconcilerForecaster
from sktime.forecasting.trend import PolynomialTrendForecaster
from sktime.performance_metrics.forecasting import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
)
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.hierarchical.aggregate import Aggregator
from sktime.transformations.series.boxcox import LogTransformer
from sktime.transformations.series.date import DateTimeFeatures
from sktime.transformations.series.detrend import Detrender

# The other forecasters of sktime announce a change of their own default.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The default of config ``remember_data``:FutureWarning"
)

FH = range(1, 7)


# -- pipelines ----------------------------------------------------------------------


def test_a_transformer_pipeline_equals_transforming_by_hand(make, y):
    """Detrend, forecast, add the trend; points, and quantiles, which move alike."""
    pipeline = Detrender(PolynomialTrendForecaster()) * make(horizon=6)
    pipeline.fit(y, fh=FH)
    detrender = Detrender(PolynomialTrendForecaster())
    by_hand = make(horizon=6).fit(detrender.fit_transform(y), fh=FH)
    expected = detrender.inverse_transform(by_hand.predict())
    assert_allclose(pipeline.predict(), expected, rtol=1e-9)
    assert np.abs(pipeline.predict() - by_hand.predict()).min() > 10


def test_logarithms_are_undone_for_points_and_quantiles(make, y):
    pipeline = TransformedTargetForecaster(
        [("log", LogTransformer()), ("lstm", make(horizon=6))]
    ).fit(y, fh=FH)
    by_hand = make(horizon=6).fit(np.log(y), fh=FH)
    assert_allclose(pipeline.predict(), np.exp(by_hand.predict()), rtol=1e-9)
    alpha = [0.1, 0.9]
    quantiles = pipeline.predict_quantiles(alpha=alpha)
    assert_allclose(
        quantiles, np.exp(by_hand.predict_quantiles(alpha=alpha)), rtol=1e-9
    )


def test_calendar_features_equal_computing_them_by_hand(make, y):
    """Two columns of the calendar as known-future covariates."""

    def features():
        return DateTimeFeatures(manual_selection=["month_of_year", "quarter_of_year"])

    index = pd.period_range(y.index[0], periods=len(y) + 6, freq="M")
    empty = pd.DataFrame(index=index).assign(one=0.0)
    pipeline = ForecastingPipeline(
        [("calendar", features()), ("lstm", make(horizon=6))]
    )
    pipeline.fit(y, X=empty[: len(y)], fh=FH)
    calendar = features().fit_transform(empty)
    assert {"month_of_year", "quarter_of_year"} <= set(calendar.columns)
    by_hand = make(horizon=6).fit(y, calendar[: len(y)], fh=FH)
    expected = by_hand.predict(X=calendar[len(y) :])
    assert_array_equal(pipeline.predict(X=empty[len(y) :]), expected)
    without = make(horizon=6).fit(y, fh=FH).predict()
    assert np.abs(expected - without).max() > 1e-3


# -- evaluation ---------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["refit", "update", "no-update_params"])
@pytest.mark.parametrize("with_X", [False, True])
def test_evaluate_equals_a_loop_by_hand(make, y, X, strategy, with_X):
    splitter = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=54, step_length=5)
    covariates = X[: len(y)] if with_X else None
    found = evaluate(
        make(horizon=3),
        cv=splitter,
        y=y,
        X=covariates,
        strategy=strategy,
        scoring=MeanAbsoluteError(),
        return_data=True,
        error_score="raise",
    )
    forecaster, cutoff = None, 0
    for row, (train, test) in enumerate(splitter.split(y)):
        past = X.iloc[train] if with_X else None
        ahead = X.iloc[test] if with_X else None
        if forecaster is None or strategy == "refit":
            forecaster = make(horizon=3).fit(y.iloc[train], past, fh=[1, 2, 3])
        else:
            new = train[train >= cutoff]
            forecaster.update(
                y.iloc[new],
                X.iloc[new] if with_X else None,
                update_params=strategy == "update",
            )
        cutoff = len(train)
        expected = forecaster.predict(fh=[1, 2, 3], X=ahead)
        forecast = found["y_pred"].iloc[row]
        assert list(forecast.index) == list(y.index[test])
        assert_allclose(forecast, expected, rtol=1e-6)
        error = np.abs(expected - y.iloc[test]).mean()
        assert found["test_MeanAbsoluteError"].iloc[row] == pytest.approx(error)
    assert len(found) == 4


def test_grid_search_chooses_the_better_by_far(make, seasonal):
    """A window that sees a season, against one that sees a step, without any hint."""
    series = seasonal(96, noise=0.2)
    splitter = ExpandingWindowSplitter(
        fh=range(1, 7), initial_window=72, step_length=12
    )
    settings = {"sp": 1, "horizon": 6, "max_steps": 80, "learning_rate": 0.01}
    search = ForecastingGridSearchCV(
        make(**settings),
        cv=splitter,
        param_grid={"window_length": [1, 24]},
        scoring=MeanAbsolutePercentageError(symmetric=False),
        error_score="raise",
        backend=None,
    )
    search.fit(series, fh=range(1, 7))
    assert search.best_params_ == {"window_length": 24}
    scores = search.cv_results_["mean_test_MeanAbsolutePercentageError"]
    assert scores.min() < 0.6 * scores.max()
    alone = make(**settings, window_length=24).fit(series, fh=range(1, 7))
    assert_array_equal(search.predict(), alone.predict())


# -- panels and hierarchies ---------------------------------------------------------


def test_forecast_by_level_fits_each_series_alone(make, panel):
    by_level = ForecastByLevel(make(horizon=6), groupby="local").fit(panel, fh=FH)
    forecast = by_level.predict()
    for key in ("b", "c", "a"):
        alone = make(horizon=6).fit(panel.loc[key], fh=FH).predict()
        found = forecast.loc[key]
        assert list(found.index) == list(alone.index)
        assert_array_equal(found, alone)


# It is meant to aggregate by itself, and says so.
@pytest.mark.filterwarnings("ignore:Found elements in the index:UserWarning")
def test_reconciled_forecasts_of_a_hierarchy_add_up(make, seasonal):
    """Bottom-up keeps the forecasts of the bottom; optimal ones stay close to them."""
    bottom = pd.concat(
        {
            (region, shop): seasonal(60, seed=number).to_frame("sales")
            for number, (region, shop) in enumerate(
                [("n", "x"), ("n", "y"), ("s", "x"), ("s", "y")]
            )
        },
        names=["region", "shop", "month"],
    )
    data = Aggregator(flatten_single_levels=False).fit_transform(bottom)
    plain = make(horizon=6).fit(data, fh=FH).predict()
    of_bottom = make(horizon=6).fit(bottom, fh=FH).predict()
    totals_by_themselves = plain.loc[("__total", "__total")].to_numpy()
    for method in ("bu", "ols"):
        forecaster = ReconcilerForecaster(make(horizon=6), method=method)
        forecast = forecaster.fit(bottom, fh=FH).predict()
        total = forecast.loc[("__total", "__total")].to_numpy()
        shops = {
            key: forecast.loc[key].to_numpy()
            for key in bottom.index.droplevel(-1).unique()
        }
        assert_allclose(total, sum(shops.values()), rtol=1e-9)
        for region in ("n", "s"):
            of_region = forecast.loc[(region, "__total")].to_numpy()
            both = shops[region, "x"] + shops[region, "y"]
            assert_allclose(of_region, both, rtol=1e-9)
        for key, values in shops.items():
            reach = 0.5 * bottom.loc[key].to_numpy().std()
            assert_allclose(values, plain.loc[key].to_numpy(), atol=reach)
            if method == "bu":
                assert_allclose(values, of_bottom.loc[key].to_numpy(), rtol=1e-9)
        assert np.abs(total - totals_by_themselves).max() > 0


# -- ensembles and intervals --------------------------------------------------------


def test_an_ensemble_with_a_statistical_forecaster_is_their_mean(make, y):
    naive = NaiveForecaster("last", sp=12)
    ensemble = EnsembleForecaster([("lstm", make(horizon=6)), ("naive", naive)])
    forecast = ensemble.fit(y, fh=FH).predict()
    lstm = make(horizon=6).fit(y, fh=FH).predict()
    expected = (lstm + naive.clone().fit(y, fh=FH).predict()) / 2
    assert_allclose(forecast, expected, rtol=1e-9)
    assert np.abs(forecast - lstm).max() > 0


def test_conformal_intervals_lie_around_the_point_forecasts(make, y):
    """From residuals of networks trained on parts of the series."""
    conformal = ConformalIntervals(
        make(horizon=3, likelihood=None), initial_window=54, sample_frac=0.4
    )
    conformal.fit(y, fh=[1, 2, 3])
    point = conformal.predict()
    alone = make(horizon=3, likelihood=None).fit(y, fh=[1, 2, 3]).predict()
    assert_array_equal(point, alone)
    interval = conformal.predict_interval(coverage=[0.5, 0.9])
    wide, narrow = interval["sales", 0.9], interval["sales", 0.5]
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (narrow["lower"] <= narrow["upper"]).all()
    assert (narrow["upper"] <= wide["upper"]).all()
    width = (wide["upper"] - wide["lower"]).to_numpy()
    assert (width > 0).all()
    assert (width < 3 * y.std()).all()
    middle = (wide["upper"] + wide["lower"]) / 2
    assert np.abs(middle - point).max() < width.max()


def test_a_pipeline_takes_absolute_horizons_and_updates(make, y):
    """The composition hands everything on."""
    pipeline = Detrender(PolynomialTrendForecaster()) * make(horizon=6)
    pipeline.fit(y[:60])
    pipeline.update(y[60:], update_params=False)
    times = pd.PeriodIndex(["2006-02", "2006-05"], freq="M")
    forecast = pipeline.predict(fh=ForecastingHorizon(times, is_relative=False))
    assert list(forecast.index) == list(times)
    assert np.abs(forecast - y[["2005-02", "2005-05"]].to_numpy()).max() < 20
