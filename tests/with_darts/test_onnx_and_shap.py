"""What darts does with a trained network: export it as a graph, and explain it."""

import numpy as np
import pandas as pd
import pytest
from darts.utils.onnx import run_onnx_prediction
from numpy.testing import assert_allclose

from lstm_forecasters.darts import VanillaLSTMModel

pytestmark = [
    # torch's exporter and shap use what torch and numpy have announced to remove
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:shap.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:copyreg"),
    # the exporter writes the largest float64, of nan_to_num, as a float32
    pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning"),
]


@pytest.fixture
def exported(tmp_path):
    """Return a function that exports a model and returns the graph's session."""
    reason = "darts exports with onnx and onnxscript, and runs with onnxruntime"
    pytest.importorskip("onnx", reason=reason)
    pytest.importorskip("onnxscript", reason=reason)
    onnxruntime = pytest.importorskip("onnxruntime", reason=reason)

    def export(model):
        path = str(tmp_path / "model.onnx")
        model.to_onnx(path, verbose=False)
        return onnxruntime.InferenceSession(path)

    return export


@pytest.fixture
def shap():
    """The library that explains."""
    return pytest.importorskip("shap", reason="darts' ShapExplainer needs it")


def run(session, n, **given):
    """Return the forecast of a graph."""
    return run_onnx_prediction(n, session, **given, verbose=False)


def test_a_graph_forecasts_as_the_model_does(make, monthly, exported):
    model = make().fit(monthly())
    session = exported(model)
    series = monthly(seed=1, level=3.0)
    for n in (6, 12):
        found, expected = run(session, n, series=series), model.predict(n, series)
        assert_allclose(found.values(), expected.values(), rtol=1e-4)
        assert found.time_index.equals(expected.time_index)


def test_a_graph_gives_the_parameters_of_the_likelihood(small, monthly, exported):
    series = monthly().astype(np.float32)
    model = VanillaLSTMModel(**small, likelihood="quantile").fit(series)
    found = run(exported(model), 6, series=series)
    expected = model.predict(6, series, predict_likelihood_parameters=True)
    assert found.dtype == np.float32  # as the series that it was trained on
    assert_allclose(found.values(), expected.values(), rtol=1e-4)


def test_a_graph_reads_covariates_and_gaps(small, monthly, exported):
    values = monthly(50).values()
    values[[41, 46, 47]] = np.nan
    static = pd.DataFrame({"size": [2.0]})
    known = {
        "series": monthly(50).with_values(values).with_static_covariates(static),
        "past_covariates": monthly(50, 3.0, 5),
        "future_covariates": monthly(70, 7.0, 6),
    }
    model = VanillaLSTMModel(**small, likelihood="student_t").fit(**known)
    given = {"n": 6, "predict_likelihood_parameters": True}
    found = run(exported(model), 6, **known).values()
    assert_allclose(found, model.predict(**given, **known).values(), rtol=1e-4)
    known["future_covariates"] = known["future_covariates"] * 2
    changed = model.predict(**given, **known).values()
    assert np.abs(found - changed).max() > 1e-2


def test_shap_values_add_up_to_the_forecast(small, monthly, shap):
    from darts.explainability import ShapExplainer

    settings = {**small, "input_chunk_length": 3, "output_chunk_length": 2}
    future = monthly(60, 7.0, 6, columns=["known"])
    series = monthly(40, columns=["sales"])
    model = VanillaLSTMModel(**settings).fit(series, future_covariates=future)
    explainer = ShapExplainer(
        model,
        background_series=series,
        background_future_covariates=future,
        background_num_samples=8,
        shap_method="permutation",
        test_stationarity=False,
    )
    foreground = {
        "foreground_series": series[-5:],  # of three windows: darts infers their freq
        "foreground_future_covariates": future[35:42],
    }
    result = explainer.explain(**foreground)
    forecast = model.predict(2, series[-3:], future_covariates=future).values()[:, 0]
    for horizon in (1, 2):
        explained = result.get_shap_explanation_object(horizon, "sales")
        total = explained.base_values.ravel() + explained.values.sum(-1).ravel()
        assert total[-1] == pytest.approx(forecast[horizon - 1], rel=1e-4)
        names = list(result.get_explanation(horizon, "sales").components)
        assert {name.split("_")[0] for name in names} == {"sales", "known"}
