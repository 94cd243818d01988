"""What has to be reached and whether it will be: daily numbers, control and forecast of a month. Pure."""
