"""What uvicorn loads: the one module with an effect on import."""

from app.core.logging import configure_logging
from app.core.settings import load_settings
from app.main import create_app

settings = load_settings()
configure_logging(settings.log_level)
app = create_app(settings)
