"""What a person has to do when Bitrix24 no longer lets us in; in Russian."""

from __future__ import annotations

from connector.domain import GrantProblem

_GOES_ON = "Работа ждёт и продолжится сама."


def advice(problem: GrantProblem, account: str) -> str:
    """One alarm: what happened, what to do, what happens then."""
    command = f"connector connect bitrix24 --account {account}"
    consent = (
        "откройте приложение Коннектора в Битрикс24 от имени администратора или выполните "
        f"{command}. {_GOES_ON}"
    )
    match problem:
        case "client":
            return (
                "Битрикс24 не узнаёт приложение. Что сделать: сверьте CLIENT_ID и CLIENT_SECRET с карточкой "
                f"локального приложения и перезапустите Коннектор. {_GOES_ON}"
            )
        case "removed":
            return (
                "Приложение Коннектора удалено из Битрикс24. Что сделать: создайте локальное приложение "
                "заново, запишите новые CLIENT_ID и CLIENT_SECRET, перезапустите Коннектор и выполните "
                f"{command}. {_GOES_ON}"
            )
        case "unpaid":
            return (
                "Битрикс24 не пускает приложение: кончилась лицензия портала. Что сделать: продлите её. "
                f"{_GOES_ON}"
            )
        case "lost":
            return (
                "Новые токены Битрикс24 потеряны: обновление оборвалось между ответом Битрикс24 и записью в "
                f"хранилище, а прежний токен обновления одноразовый. Что сделать: {consent}"
            )
        case "refused":
            return (
                "Битрикс24 не принимает даже только что выданный токен: того, кто дал согласие, уволили или "
                f"лишили прав. Что сделать: {consent}"
            )
        case _:
            return (
                "Битрикс24 больше не пускает Коннектор: согласие устарело или отозвано. "
                f"Что сделать: {consent}"
            )
