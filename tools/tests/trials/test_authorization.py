"""The cases of the matrix, asked of a secured Ottla over its sockets: the instrument's own half, and a user's whole way
from the password to the answer."""

from __future__ import annotations

from kproto.errors import ErrorCode
from tools.trials.authorization.asking import ask_all, columns
from tools.trials.authorization.secured import secured_ottla


def test_every_situation_has_a_user_of_its_own() -> None:
    """So that the ACLs of one are not those of another; super users need none."""
    users = [column.user for column in columns() if column.situation.name != "super"]
    assert len(users) == len(set(users)) > 500


def test_users_are_refused_what_their_acls_do_not_allow() -> None:
    """Fetch, over SASL PLAIN: with what the row needs there is an answer, with less a refusal, existing or not."""
    asked = [column for column in columns() if str(column.row) == "Fetch"]
    with secured_ottla([*(column.user for column in asked), "admin"]) as broker:
        answers = ask_all(broker, asked)
    assert len(answers) == 4 * len(asked)
    for column in asked:
        for state in ("existing", "missing"):
            answer = answers[next(key for key in answers if key.step == f"{column.situation.name}, {state}")]
            if column.situation.lacks:
                [topic] = answer["responses"]
                assert topic["partitions"][0]["error_code"] == ErrorCode.TOPIC_AUTHORIZATION_FAILED
            else:
                assert ErrorCode.TOPIC_AUTHORIZATION_FAILED not in answer
