"""The web role for any WSGI server: `gunicorn wsgi:app`. `connector worker` and `scheduler` run beside it."""

from connector.app import create_app

app = create_app()
