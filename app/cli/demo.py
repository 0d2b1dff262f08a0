from app.audit.actor import COMMAND_LINE
from app.catalog.errors import chat_price_command
from app.cli.printing import print_json, tell
from app.cli.transaction import in_transaction
from app.core.settings import load_settings
from app.onboarding.demo_organization import set_up_demo


def demo() -> None:
    """Create the organization Demo, ready to use, and print its new key and password as one line of JSON.

    If it exists already, it keeps what it has: only its password and its quickstart key are replaced.
    """
    llm_model = load_settings().llm_model
    demo = in_transaction(set_up_demo, chat_model=llm_model, actor=COMMAND_LINE)
    print_json({"api_key": demo.api_key, "admin_email": demo.admin_email, "admin_password": demo.admin_password})
    if not demo.is_chat_priced:
        tell(
            f"warning: LLM_MODEL {llm_model} has no price in the catalog: chat is refused until you set one, in credits"
            f" for a million tokens (0, if it is free, must be said): {chat_price_command(llm_model)}"
        )
