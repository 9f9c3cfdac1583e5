"""Networks: shapes, first forecasts, where they look, and where they draw from."""

import dataclasses

import pytest
import torch

from lstm_forecasters.backend.networks import Ensemble, NetworkSizes, build_network
from lstm_forecasters.backend.networks.layers import Dropout, draw_parameters
from lstm_forecasters.specs import (
    ARCHITECTURES,
    EncoderDecoderLSTM,
    StackedLSTM,
    VanillaLSTM,
)

SIZES = NetworkSizes(
    lookback=7,
    horizon=5,
    history_columns=6,
    horizon_columns=8,
    static_columns=2,
    recalled_columns=0,
    known_future=2,
    n_channels=2,
    n_parameters=3,
)
SPECS = [
    spec(hidden_size=5, segment_length=length, linear_path=linear)
    for spec in ARCHITECTURES.values()
    for length, linear in ((1, True), (3, False), (4, True))
]
SPECS.append(EncoderDecoderLSTM(hidden_size=5, num_layers=2, reverse_lookback=True))
SPECS += [
    spec(hidden_size=5, n_members=3) for spec in (VanillaLSTM, EncoderDecoderLSTM)
]
SPECS = [spec.with_segments_of(1) for spec in SPECS]
ENSEMBLES = [
    spec(hidden_size=5, segment_length=4, n_members=3)
    for spec in (VanillaLSTM, StackedLSTM, EncoderDecoderLSTM)
]


def make(spec, seed=0, trained=True):
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        network = build_network(spec, SIZES)
    network.to_empty(device="cpu")
    draw_parameters(network, generator)
    if trained:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


def inputs(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(4, SIZES.lookback, SIZES.history_columns, generator=generator),
        torch.randn(4, SIZES.horizon, SIZES.horizon_columns, generator=generator),
        torch.randn(4, SIZES.static_columns, generator=generator),
    )


def name_of(spec):
    return f"{spec.name}-{spec.segment_length}-{spec.linear_path}-{spec.n_members}"


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
class TestEveryNetwork:
    def test_shape_and_first_forecast(self, spec):
        raw = make(spec, trained=False)(*inputs())
        assert raw.shape == (4, SIZES.horizon, SIZES.n_channels, SIZES.n_parameters)
        assert torch.equal(raw, torch.zeros_like(raw))

    def test_every_input_and_parameter_matters(self, spec):
        network = make(spec)
        columns = [one.requires_grad_() for one in inputs()]
        network(*columns).square().sum().backward()
        for one in (*columns, *network.parameters()):
            assert one.grad.abs().sum() > 0
        assert (columns[0].grad.abs().sum((0, 2)) > 0).all()  # the whole lookback

    def test_windows_do_not_mix(self, spec):
        network, columns = make(spec), inputs()
        whole = network(*columns)
        one = network(*(part[1:2] for part in columns))
        torch.testing.assert_close(one, whole[1:2], rtol=0, atol=1e-5)

    def test_drawn_from_the_generator_alone(self, spec):
        state = torch.get_rng_state()
        first, second = make(spec, 3).state_dict(), make(spec, 3).state_dict()
        other = make(spec, 4).state_dict()
        for name, values in first.items():
            assert torch.equal(values, second[name])
            assert not torch.equal(values, other[name])
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "spec",
    [s for s in SPECS if s.structure == "seq2seq" and s.n_members == 1],
    ids=name_of,
)
class TestDecoder:
    def test_reads_its_own_forecasts_and_never_later_columns(self, spec):
        network = make(spec)
        history, horizon, static = inputs()
        horizon.requires_grad_()
        first = -(-1 // network.length) * network.length  # steps of the first turn
        network(history, horizon, static)[:, :first].sum().backward()
        assert horizon.grad[:, first:].abs().sum() == 0


def test_forget_gates_start_open_and_other_lstm_weights_within_the_inverse_root():
    network = make(EncoderDecoderLSTM(hidden_size=16, segment_length=1), trained=False)
    layers = [*network.encoder.layers, *network.decoder.cells]
    assert len(layers) == 2
    for layer in layers:
        for name, values in layer.named_parameters():
            drawn = values.detach().clone()
            if name.startswith("bias_ih"):
                drawn[16:32] -= 1.0
            assert 0.2 < drawn.abs().max() <= 1 / 4


def test_one_member_is_a_plain_network():
    for spec in ARCHITECTURES.values():
        plain = build_network(spec(segment_length=1), SIZES)
        several = build_network(spec(segment_length=1, n_members=2), SIZES)
        assert type(several) is Ensemble
        assert [type(member) for member in several.members] == [type(plain)] * 2


def test_members_differ_in_what_they_read():
    sizes = dataclasses.replace(SIZES, lookback=48)
    spec = VanillaLSTM(hidden_size=5, segment_length=8, n_members=5)
    members = build_network(spec, sizes).members
    assert [member.sizes.lookback for member in members] == [48, 24, 48, 24, 36]
    assert [member.segments.length for member in members] == [8, 4, 8, 8, 4]


@pytest.mark.parametrize("spec", ENSEMBLES, ids=name_of)
class TestEnsemble:
    def outputs(self, network, history, horizon, static):
        """Return what each member says by itself, (M, B, H, C, K)."""
        return torch.stack(
            [
                member(history[:, -member.sizes.lookback :], horizon, static)
                for member in network.members
            ]
        )

    def test_forecasts_are_the_mean_of_the_members(self, spec):
        network, columns = make(spec), inputs()
        every = self.outputs(network, *columns)
        assert not torch.allclose(every[0], every[1])
        torch.testing.assert_close(network(*columns), every.mean(0))

    @pytest.mark.parametrize("n_windows", [1, 3, 4])
    def test_in_training_each_window_is_read_by_one_member(self, spec, n_windows):
        network = make(spec).train()
        columns = [one[:n_windows] for one in inputs()]
        found, every = network(*columns), self.outputs(network, *columns)
        assert found.shape == every.shape[1:]
        distance = (every - found).abs().amax((2, 3, 4))  # (M, B)
        readers = (distance < 1e-6).sum(0)
        assert readers.tolist() == [1] * n_windows
        by_member = (distance < 1e-6).sum(1)
        assert by_member.max() - by_member.min() <= 1

    def test_in_training_every_member_learns(self, spec):
        network = make(spec).train()
        network(*inputs()).square().sum().backward()
        for parameter in network.parameters():
            assert parameter.grad.abs().sum() > 0


def test_the_decoder_is_told_what_it_wrote_with_its_covariates_and_what_is_known():
    network = make(EncoderDecoderLSTM(hidden_size=5, segment_length=3))
    history, horizon, static = inputs()
    told = []
    network.decoder.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    with torch.no_grad():
        raw = network(history, horizon, static)
    written, covariates = history[:, -3:, :2], torch.zeros(4, 3, 6)
    turns = horizon[:, :3], torch.cat([horizon[:, 3:], torch.zeros(4, 1, 8)], 1)
    for step, columns in zip(told, turns, strict=True):
        parts = [written, covariates, columns[..., :2]]
        expected = torch.cat([*(part.flatten(1) for part in parts), static], 1)
        torch.testing.assert_close(step, expected)
        written, covariates = raw[:, :3, :, 0] + columns[..., :2], columns[..., 2:]


def test_reversed_lookback_is_the_lookback_read_backwards():
    spec = EncoderDecoderLSTM(hidden_size=5, linear_path=False, segment_length=1)
    forwards = make(spec)
    backwards = make(dataclasses.replace(spec, reverse_lookback=True))
    columns = inputs()
    read = backwards(*columns)
    assert not torch.allclose(read, forwards(*columns))
    encode = forwards.encoder.forward
    forwards.encoder.forward = lambda sequence, *rest: encode(sequence.flip(1), *rest)
    torch.testing.assert_close(forwards(*columns), read)


def test_dropout_draws_from_the_generator_and_only_in_training():
    network = make(StackedLSTM(hidden_size=5, dropout=0.5, segment_length=1))
    columns, state = inputs(), torch.get_rng_state()
    still = network(*columns, torch.Generator().manual_seed(0))
    assert torch.equal(still, network(*columns))
    network.train()
    drops = [network(*columns, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(drops[0], drops[1])
    assert not torch.equal(drops[0], drops[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_keeps_the_mean():
    generator = torch.Generator().manual_seed(0)
    found = Dropout(0.25)(torch.full((100, 100), 3.0), generator)
    assert found.unique().tolist() == [0.0, 4.0]
    assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.02)
