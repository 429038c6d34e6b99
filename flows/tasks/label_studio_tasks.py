"""Earmark's tasks on a Label Studio server, with the raw answers to them, and who the server's users are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from annotation.assignment import PeopleSettings
from annotation.label_studio import StudioAnnotation, StudioData
from annotation.label_studio_answers import author_of as named_author
from annotation.label_studio_answers import can_be_sent, revision_of
from annotation.row_parsing import RowError
from corpus.handle import Corpus
from corpus.names import name_key
from corpus.tables import annotations as annotations_table
from flows.runtime.settings import LabelStudioSettings
from flows.tasks.label_studio_client import StudioClient
from flows.tasks.task_status import ANYBODY


@dataclass(frozen=True, slots=True)
class ServerTask:
    """A task on the server.

    Attributes:
        number: id of the task on the server.
        task_id: id of the task in earmark; "" where the task is not from earmark, such as for half a character.
        holder: annotator whose project has the task; `ANYBODY` where all share one project.
        data: what annotators see.
        annotations: raw answers, cancelled ones included.
    """

    number: int
    task_id: str
    holder: str
    data: StudioData
    annotations: list[StudioAnnotation]

    @property
    def live(self) -> list[StudioAnnotation]:
        """Return the answers that are not cancelled."""
        return [answer for answer in self.annotations if not answer.get("was_cancelled")]


@contextmanager
def session(settings: LabelStudioSettings) -> Iterator[StudioClient]:
    """Open a session with the server until the block ends."""
    client = StudioClient(settings)
    try:
        yield client
    finally:
        client.close()


def project_titles(title: str, people: PeopleSettings) -> dict[str, str]:
    """Return the titles of earmark's projects by annotator; one shared project where the settings list nobody.

    Args:
        title: `label_studio.title` of the settings.
        people: the annotators, each of whom has a project.
    """
    listed = [person.annotator_id for person in people.people]
    return {annotator: f"{title}: {annotator}"[:50] for annotator in listed} if listed else {ANYBODY: title}


def tasks_on_server(client: StudioClient, titles: Mapping[str, str]) -> list[ServerTask]:
    """Return every task of earmark's projects on the server.

    Args:
        client: session with the server.
        titles: see `project_titles`.
    """
    projects = client.projects()
    found = []
    for holder, title in titles.items():
        for row in client.tasks(projects[title]) if title in projects else ():
            given, answers = row.get("data"), row.get("annotations")
            data: StudioData = given if isinstance(given, dict) else {}
            listed = [each for each in answers or () if isinstance(each, dict)]
            task_id = str(data.get("task_id", ""))
            found.append(ServerTask(int(row["id"]), task_id if can_be_sent(task_id) else "", holder, data, listed))
    return found


@dataclass(frozen=True, slots=True)
class Authors:
    """Who answered.

    Attributes:
        names: number of a user on the server -> annotator id; `ls-NUMBER` for unlisted users.
        merged: task id and revision of a merged answer -> annotator id.
    """

    names: Mapping[int, str]
    merged: Mapping[tuple[str, int], str]


def authors_there(corpus: Corpus, client: StudioClient, people: PeopleSettings) -> Authors:
    """Return who may have answered: the server's users, and the authors of the answers that are merged."""
    by_login = {_login_key(person.login or person.annotator_id): person.annotator_id for person in people.people}
    names = {number: by_login.get(_login_key(login), f"ls-{number}") for number, login in client.users().items()}
    with corpus.read() as conn:
        stored = annotations_table.latest_answers(conn)
    return Authors(names, {(row.task_id, row.revision): row.annotator_id for row in stored})


def _login_key(login: str) -> str:
    return name_key(login, fold_case=True)


def author_of(row: ServerTask, answer: StudioAnnotation, authors: Authors) -> str:
    """Return who answered, also where the server forgot it with its user.

    An answer that is merged keeps its author; any other is of the person whose project it is in.

    Raises:
        RowError: nobody knows.
    """
    try:
        return named_author(answer, authors.names)
    except RowError:
        merged = authors.merged.get((row.task_id, _revision(answer)))
        if merged is None and row.holder == ANYBODY:
            raise
        return row.holder if merged is None else merged


def _revision(answer: StudioAnnotation) -> int:
    """Return the revision of an answer; -1, which no answer has, where its time is of no use."""
    try:
        return revision_of(answer.get("updated_at"))
    except RowError:
        return -1
