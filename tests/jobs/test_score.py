from lmprog.jobs.score import score


def test_fields_are_counted_next_to_the_most_frequent_value() -> None:
    truths = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": None}, {"a": 3, "b": "z"}]
    answers = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 2}, None]
    result = score(zip(answers, truths, strict=True))

    assert result is not None
    assert (0.5, 0.5) == (result.fields["a"].accuracy, result.fields["a"].most_frequent)
    assert (0.75, 0.25) == (result.fields["b"].accuracy, result.fields["b"].most_frequent)
    assert 0.625 == result.accuracy
    assert (1, 4) == (result.exact, result.records)


def test_records_without_truth_do_not_count() -> None:
    assert score([({"a": 1}, None)]) is None
    result = score([({"a": 1}, None), ("yes", "yes")])

    assert result is not None
    assert 1.0 == result.fields["value"].accuracy


def test_equal_means_equal_as_json() -> None:
    result = score([({"a": True, "b": {"x": 1, "y": 2}}, {"a": 1, "b": {"y": 2, "x": 1}})])

    assert result is not None
    assert (0, 1) == (result.fields["a"].right, result.fields["b"].right)
