"""Boxes of the command line mean what they say, and what is no box is named."""

import numpy as np
import pytest

from karush.cli.box_argument import read_box
from karush.core.errors import ProblemError


def test_words_describe_numbers_arrays_tuples_and_dicts():
    one = read_box("-1e-3:inf")
    assert (one.lower, one.upper) == (-1e-3, np.inf)
    assert np.array_equal(read_box("[[0:1, 2:3], [4:5, 6:7]]").lower, [[0.0, 2.0], [4.0, 6.0]])
    assert np.array_equal(read_box("0:1*2x3").upper, np.ones((2, 3)))
    assert [np.shape(leaf) for leaf in read_box("0:1, -1:1*4").lower] == [(), (4,)]
    named = read_box("x=0:1, w=-1:1*3")
    assert named.upper["x"] == 1.0
    assert np.array_equal(named.lower["w"], -np.ones(3))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("1:x", "1:x"),
        ("one:two", "one:two"),
        ("1", "no interval"),
        ("1:2*x", "no interval"),
        ("", "empty"),
        ("[0:1", "brackets"),
        ("x=0:1, 0:2", "no name"),
        ("x=0:1, x=0:2", "twice"),
        ("[0:1, [0:1]]", "shapes"),
        ("0:1*0", "0:1\\*0"),
        ("1:0", "lower <= upper"),
    ],
)
def test_words_that_describe_no_box_are_named(words, part):
    with pytest.raises(ProblemError, match=part):
        read_box(words)
