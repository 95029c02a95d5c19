"""The count of definitions finds what defines a field, and not what only tells of it."""

from hacking.definitions import definitions


def test_it_finds_structs_functions_and_constants() -> None:
    found = definitions("keep_result")
    assert "client/magicqueue/wire/requests.py: PushItem" in found
    assert "server/magicqueue_server/wishes.py: _wishes" in found
    assert "client/magicqueue/job_options.py: _NEEDS" in found
    assert "cores/magicqueue_cores/kernels/jobs.py: store_row" in definitions(
        "max_attempts"
    )


def test_it_counts_no_words_and_no_parts_of_names() -> None:
    assert not any("policies/marks.py: Marks.time" in one for one in definitions("expiry"))
    assert definitions("never_heard_of") == []
