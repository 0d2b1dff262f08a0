"""What uvicorn loads: the one module with an effect on import."""

import os

from app.core.logging import configure_logging
from app.core.setting_doubts import log_doubts
from app.core.settings import load_settings
from app.main import create_app

settings = load_settings()
configure_logging(settings.log_level)
log_doubts(settings, os.environ)
app = create_app(settings)
