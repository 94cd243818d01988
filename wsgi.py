"""The web role for any WSGI server (`gunicorn wsgi:app`); run `connector worker` and `scheduler` beside it."""

from connector.app import create_app

app = create_app()
