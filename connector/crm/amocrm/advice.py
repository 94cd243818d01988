"""What a person has to do when amoCRM no longer lets us in; in Russian."""

from __future__ import annotations

from connector.domain import GrantProblem

_GOES_ON = "Работа ждёт и продолжится сама."


def advice(problem: GrantProblem, account: str) -> str:
    """One alarm: what happened, what to do, what happens then."""
    consent = (
        f"выполните connector connect amocrm --account {account} и дайте согласие от имени администратора. "
        f"{_GOES_ON}"
    )
    match problem:
        case "client":
            return (
                "amoCRM не узнаёт интеграцию. Что сделать: сверьте CLIENT_ID, CLIENT_SECRET и REDIRECT_URL "
                f"с карточкой интеграции («Ключи и доступы») и перезапустите Коннектор. {_GOES_ON}"
            )
        case "lost":
            return (
                "Новые токены amoCRM потеряны: обновление оборвалось между ответом amoCRM и записью в "
                "хранилище, а прежний токен обновления одноразовый. Пока действует прежний ключ доступа, не "
                f"дольше суток, всё работает. Что сделать: {consent}"
            )
        case "refused":
            return (
                "amoCRM не принимает даже только что выданный токен: того, кто дал согласие, отключили или "
                f"лишили прав. Что сделать: {consent}"
            )
        case _:
            return (
                "amoCRM больше не пускает Коннектор: интеграцию отключили или согласие устарело. "
                f"Что сделать: включите интеграцию в amoМаркете, {consent}"
            )
