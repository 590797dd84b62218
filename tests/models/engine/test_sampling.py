"""The choice of a token depends on the row, the seed and the place, on nothing else."""

import math

import numpy as np
import pytest

from models.backend import Sampling
from models.engine.sampling import SignalSum, choose, likeliest, uniform
from models.errors import BackendError

ROW = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))


def test_greedy_takes_the_most_probable_and_says_how_sure_it_was() -> None:
    token, signal = choose(ROW, Sampling(), [])
    assert token == 0
    assert signal.logprob == pytest.approx(math.log(0.5), abs=1e-5)
    assert signal.margin == pytest.approx(math.log(0.5 / 0.3), abs=1e-5)
    assert signal.entropy == pytest.approx(-sum(p * math.log(p) for p in (0.5, 0.3, 0.15, 0.05)), abs=1e-5)
    assert signal.feasible_mass == 1.0


def test_a_constraint_hides_tokens_but_not_how_little_was_left() -> None:
    token, signal = choose(ROW, Sampling(), [], np.array([False, False, True, True]))
    assert token == 2
    assert signal.feasible_mass == pytest.approx(0.2, abs=1e-5)
    assert signal.logprob == pytest.approx(math.log(0.15), abs=1e-5)


def test_the_row_is_left_as_it_was() -> None:
    row = ROW.copy()
    choose(row, Sampling(temperature=1.0, frequency_penalty=1.0), [0, 0], np.array([True, True, False, True]))
    assert np.array_equal(row, ROW)


def test_draws_follow_the_probabilities() -> None:
    drawn = [choose(ROW, Sampling(temperature=1.0, seed=seed), [])[0] for seed in range(4000)]
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    assert shares == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_top_p_leaves_out_the_tail() -> None:
    drawn = {choose(ROW, Sampling(temperature=1.0, top_p=0.8, seed=seed), [])[0] for seed in range(500)}
    assert drawn == {0, 1}


@pytest.mark.parametrize("temperature", [1e-30, 1e-308, 5e-324])
def test_the_least_of_temperatures_takes_the_best_that_is_left(temperature: float) -> None:
    allowed = np.array([False, True, True, True])
    assert choose(ROW, Sampling(temperature=temperature), [], allowed)[0] == 1
    assert choose(ROW, Sampling(temperature=temperature, presence_penalty=2.0), [0, 1])[0] == 2


def test_a_draw_depends_on_seed_and_place_alone() -> None:
    assert uniform(5, 17) == uniform(5, 17)
    assert len({uniform(5, place) for place in range(1000)}) == 1000
    assert 0.45 < sum(uniform(9, place) for place in range(2000)) / 2000 < 0.55


def test_a_penalty_ends_a_loop_without_hiding_the_belief() -> None:
    token, signal = choose(ROW, Sampling(frequency_penalty=1.0), [0, 0])
    assert token == 1
    assert signal.logprob == pytest.approx(math.log(0.3), abs=1e-5)


def test_signals_of_an_answer_are_those_of_its_tokens() -> None:
    total = SignalSum()
    for row in (ROW, ROW[::-1].copy()):
        total.add(choose(row, Sampling(), [])[1])
    signals = total.signals()
    assert signals.tokens == 2
    assert signals.mean_logprob == pytest.approx(math.log(0.5), abs=1e-5)
    assert SignalSum().signals().mean_logprob is None


def test_the_likeliest_tokens_come_best_first_as_the_choice_weighs_them() -> None:
    found = likeliest(ROW, 3)
    assert [token for token, _ in found] == [0, 1, 2]
    assert [token for token, _ in likeliest(ROW[::-1].copy(), 3)] == [3, 2, 1]
    assert [math.exp(logprob) for _, logprob in found] == pytest.approx([0.5, 0.3, 0.15], abs=1e-5)
    assert found[0][1] == choose(ROW, Sampling(), [])[1].logprob
    assert len(likeliest(ROW, 4)) == 4
    assert likeliest(ROW, 0) == []


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_numbers_that_are_none_choose_nothing(odd: float) -> None:
    row = ROW.copy()
    row[2] = odd
    for allowed in (None, np.array([True, True, False, False])):
        with pytest.raises(BackendError, match="no numbers"):
            choose(row, Sampling(), [], allowed)
