from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from app.admin.access import Operator
from app.admin.catalog import queries, views
from app.admin.catalog.checks import MANY_FAILURES, Surroundings, Trouble, troubles_of
from app.admin.catalog.queries import ShownModel, Use
from app.admin.errors import PageNotFoundError
from app.admin.filters import plain_money
from app.admin.forms import Form, read_form
from app.admin.rendering import reader_zone, render, see_other, segment
from app.catalog import service
from app.catalog.models import ModelKind
from app.catalog.toml import PriceEntry, read_catalog
from app.core.clock import now
from app.core.database import Transaction
from app.core.settings import Settings
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep

router = APIRouter()

_MOST_PRICE: Final = Decimal(10) ** 12 - 1
_MOST_TOKENS: Final = 2**31 - 1
_PROPERTIES: Final = ("max_output_tokens", "context_tokens")


@router.get("/catalog")
async def list_models(
    request: Request, viewer: Operator, tx: TransactionDep, settings: SettingsDep, q: str = "", kind: str = ""
) -> Response:
    """The models with their prices, and what is wrong with them."""
    models = await queries.list_models(tx)
    shown = [each for each in models if q.strip().lower() in each.name.lower() and kind in {"", each.kind}]
    return render(
        request,
        "catalog/list.html",
        viewer,
        title="Catalog and prices",
        here="catalog",
        rows=views.rows_of(shown, await queries.read_use(tx)),
        is_empty=not models,
        troubles=await _troubles(tx, models, settings),
        unpriced=sum(each.is_active and each.current is None for each in models),
        query={"q": q.strip(), "kind": kind if kind in set(ModelKind) else ""},
    )


@router.get("/catalog/export.toml")
async def export_models(viewer: Operator, tx: TransactionDep) -> Response:
    """The active models with their prices in force now, as `junis catalog import` reads them."""
    headers = {"Content-Disposition": 'attachment; filename="catalog.toml"'}
    return PlainTextResponse(await service.export_catalog(tx), headers=headers)


@router.get("/catalog/import")
async def ask_import(request: Request, viewer: Operator) -> Response:
    """The form that takes a catalog."""
    return _import_page(request, viewer, Form())


@router.post("/catalog/import")
async def import_models(request: Request, viewer: Operator, database: DatabaseDep) -> Response:
    """Add the models and prices of a file, and change those that differ."""
    form = await read_form(request)
    text = form.value("file")
    if not text.strip():
        form.error("file", "Paste a catalog, such as the file that Export gives.")
    if not form.errors:
        # A refusal undoes what was read before it: the transaction ends within the block.
        with form.refusing("file"):
            catalog = read_catalog(text)
            async with database.transaction() as tx:
                imported = await service.import_catalog(tx, catalog, actor=viewer.actor)
    if form.errors:
        return _import_page(request, viewer, form, status=422)
    return see_other(request, "/catalog", note=f"{imported.models} models read, {imported.new_prices} new prices.")


@router.get("/catalog/new")
async def new_model(request: Request, viewer: Operator, name: str = "", kind: str = "chat") -> Response:
    """The form of a new model."""
    return _new_page(request, viewer, Form.of({"name": name, "kind": kind}))


@router.post("/catalog/new")
async def add_model(request: Request, viewer: Operator, tx: TransactionDep) -> Response:
    """Add a model with its first price."""
    form = await read_form(request)
    name, kind = form.text("name", label="Name"), form.one_of("kind", [kind.value for kind in ModelKind])
    if name in {"new", "import", "export.toml"}:
        form.error("name", "The console uses this name itself. Add the model by `junis catalog price`.")
    if name and await queries.list_models(tx, name):
        form.error("name", "The catalog has this model already. Add a price to it.")
    price = _price(form, kind, None)
    properties = {each: form.whole(each, least=1, most=_MOST_TOKENS, is_optional=True) for each in _PROPERTIES}
    if form.errors or price is None:
        return _new_page(request, viewer, form, status=422)
    # Others have no answers of tokens.
    given = properties if kind == ModelKind.CHAT else {}
    await service.set_price(tx, name, ModelKind(kind), price, actor=viewer.actor, properties=given)
    return see_other(request, f"/catalog/{_path(name)}", note=f"{name} is in the catalog.")


@router.get("/catalog/{name:path}")
async def show_model(
    request: Request, viewer: Operator, tx: TransactionDep, settings: SettingsDep, name: str, act: str = ""
) -> Response:
    """One model: its prices, what it was used for, and the form of its next price. `act=off` asks to switch it off."""
    model = await _found(tx, name)
    if act == "off" and model.is_active:
        return await _ask_to_switch_off(request, viewer, tx, settings, model, Form())
    form = Form.of({unit: f"{amount.normalize():f}" for unit, amount in views.units_of(model.current).items()})
    if model.current is not None and model.current.ceiling is not None:
        form.values["ceiling"] = [f"{model.current.ceiling.normalize():f}"]
    return await _page(request, viewer, tx, settings, model, form)


@router.post("/catalog/{name:path}")
async def change_model(
    request: Request, viewer: Operator, tx: TransactionDep, settings: SettingsDep, name: str
) -> Response:
    """Add a price to a model, try what it would make, or switch the model on, or off if its name was typed."""
    model = await _found(tx, name)
    form = await read_form(request)
    act = form.one_of("act", ("price", "try", "on", "off"))
    if act == "off":
        form.require_typed("confirm", model.name, "That is not its name. Nothing was switched off.")
        if form.errors:
            return await _ask_to_switch_off(request, viewer, tx, settings, model, form, status=422)
    if act in {"on", "off"}:
        await service.switch_model(tx, model.name, is_active=act == "on", actor=viewer.actor)
        return see_other(request, f"/catalog/{_path(model.name)}", note=f"{model.name} is switched {act}.")
    price = _price(form, model.kind, _moment(form, request))
    makes = None if price is None else await _difference(tx, model, price)
    if act == "try" and not form.errors:
        return await _page(request, viewer, tx, settings, model, form, makes=makes)
    if price is not None and not form.errors:
        with form.refusing("effective_at"):
            if not await service.add_price(tx, model.name, price, actor=viewer.actor):
                form.error("", "That is the price already. Nothing was added.")
    if form.errors or makes is None:
        return await _page(request, viewer, tx, settings, model, form, makes=makes, status=422)
    note = f"The price is added. At the use of the last 30 days it makes {_signed(makes)} credits."
    return see_other(request, f"/catalog/{_path(model.name)}", note=note)


def _price(form: Form, kind: str, effective_at: datetime | None) -> PriceEntry | None:
    """The price of a form; None if it was refused. At least one unit must be said, be it 0."""
    units = views.UNITS_OF.get(kind, ())
    amounts = {unit: form.decimal(unit, least=Decimal(0), most=_MOST_PRICE, is_optional=True) for unit in units}
    ceiling = None
    if kind == ModelKind.GENERATION:
        ceiling = form.decimal("ceiling", least=Decimal(0), most=_MOST_PRICE)
    if units and all(amount is None for amount in amounts.values()) and not form.errors:
        form.error(units[0], "Say what it costs. Enter 0 if it costs nothing.")
    if form.errors:
        return None
    said: dict[str, Any] = {unit: amount for unit, amount in amounts.items() if amount is not None}
    return PriceEntry(**said, ceiling=ceiling, effective_at=effective_at)


def _moment(form: Form, request: Request) -> datetime | None:
    """From when a price holds: a day and a time in the reader's zone, or nothing for now."""
    text = form.value("effective_at").strip()
    if not text:
        return None
    try:
        local = datetime.fromisoformat(text)
        moment = (local if local.tzinfo else local.replace(tzinfo=reader_zone(request))).astimezone(UTC)
    except (ValueError, OverflowError):
        form.error("effective_at", "Enter a day and a time, such as 2027-01-01 00:00.")
        return None
    if moment < now():
        form.error("effective_at", "That is past, and calls were charged since. Enter now or later.")
    return moment


async def _difference(tx: Transaction, model: ShownModel, price: PriceEntry) -> Decimal:
    use = (await queries.read_use(tx, model.name)).get(model.name, Use())
    return views.difference(model.current.units if model.current else None, price.unit_prices, use)


def _signed(amount: Decimal) -> str:
    return f"+{plain_money(amount)}" if amount > 0 else plain_money(amount)


def _path(name: str) -> str:
    return "/".join(segment(part) for part in name.split("/"))


async def _found(tx: Transaction, name: str) -> ShownModel:
    found = await queries.list_models(tx, name.replace("\0", ""))
    if not found:
        raise PageNotFoundError
    return found[0]


async def _troubles(tx: Transaction, models: Sequence[ShownModel], settings: Settings) -> Sequence[Trouble]:
    around = Surroundings(
        default_model=settings.llm_model,
        upstreams=settings.llm_upstreams.keys(),
        references=await queries.count_references(tx),
        failures=await queries.count_failures(tx, MANY_FAILURES),
        now=now(),
    )
    return troubles_of(models, around)


async def _page(
    request: Request,
    viewer: Operator,
    tx: TransactionDep,
    settings: Settings,
    model: ShownModel,
    form: Form,
    *,
    makes: Decimal | None = None,
    status: int = 200,
) -> Response:
    use = (await queries.read_use(tx, model.name)).get(model.name, Use())
    troubles = await _troubles(tx, await queries.list_models(tx), settings)
    return render(
        request,
        "catalog/one.html",
        viewer,
        title=model.name,
        here="catalog",
        status=status,
        model=model,
        path=f"catalog/{_path(model.name)}",
        form=form,
        units=views.UNITS_OF[model.kind],
        words=views.UNIT_WORDS,
        units_of=views.units_of,
        prices=await queries.list_prices(tx, model.name),
        use=use,
        quantities={unit: views.quantity_text(number) for unit, number in views.quantities_of(use).items()},
        makes=makes,
        troubles=[each for each in troubles if each.model == model.name],
    )


async def _ask_to_switch_off(
    request: Request,
    viewer: Operator,
    tx: TransactionDep,
    settings: Settings,
    model: ShownModel,
    form: Form,
    *,
    status: int = 200,
) -> Response:
    return render(
        request,
        "catalog/switch-off.html",
        viewer,
        title=f"Switch {model.name} off?",
        here="catalog",
        status=status,
        model=model,
        path=f"catalog/{_path(model.name)}",
        agents=(await queries.count_references(tx)).get(model.name, 0),
        is_default=model.name == settings.llm_model,
        use=(await queries.read_use(tx, model.name)).get(model.name, Use()),
        form=form,
    )


def _new_page(request: Request, viewer: Operator, form: Form, *, status: int = 200) -> Response:
    return render(
        request,
        "catalog/new.html",
        viewer,
        title="Add model",
        here="catalog",
        status=status,
        form=form,
        units=views.UNITS_OF,
        words=views.UNIT_WORDS,
        default_tokens=service.DEFAULT_MAX_OUTPUT_TOKENS,
    )


def _import_page(request: Request, viewer: Operator, form: Form, *, status: int = 200) -> Response:
    return render(
        request, "catalog/import.html", viewer, title="Import catalog", here="catalog", status=status, form=form
    )
