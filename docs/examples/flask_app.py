"""Flask: plain requests push tasks by push_sync, which any thread may.

flask --app flask_app run
magicqueue worker flask_app:tasks
"""

from flask import Flask

from magicqueue import Tasks

app = Flask(__name__)
tasks = Tasks("mail")


@tasks.task(retries=5)
def welcome(to: str) -> None:
    with app.app_context():  # for what asks for current_app
        app.logger.warning("a mail to %s", to)


@app.post("/users/<name>")
def sign_up(name: str) -> tuple[dict[str, int], int]:
    handle = welcome.push_sync(f"{name}@example.org")
    return {"id": handle.id}, 202
