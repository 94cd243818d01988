"""What the sandbox's command line says and takes for granted; loads nothing, for every command reads it."""

#: What an answer of a real portal takes at best; `connector sandbox` and `connector demo` run with it.
USUAL_LATENCY_S = 0.1

STATE_HELP = "Папка, в которой всё сделанное переживает перезапуск; без неё — только память."
