"""Options of `python -m tools conformance` that are refused before anything starts."""

import pytest

from tools.__main__ import main


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device-id", "a b"], "--device-id 'a b': use 1 to 64 characters"),
        (["--device-id", "service"], "--device-id 'service'"),
        (["--cells", "0"], "--cells 0: a cabinet has 1 to 1000 cells"),
        (["--report", "/dev/null/report"], "--report /dev/null/report cannot be used"),
    ],
)
def test_a_wrong_option_gets_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conformance", *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_an_unknown_step_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["conformance", "--only", "connect,dance"])
    assert "no step 'dance'; there are connect, report," in capsys.readouterr().err
