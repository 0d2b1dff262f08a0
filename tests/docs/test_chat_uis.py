"""The page on chat UIs names an agent that new organizations have, and that has no tools."""

from app.agents.toml import read_agents, read_starter_agents
from app.catalog.toml import read_starter_catalog
from tests.docs.files import block, read


def test_the_page_has_the_starter_agent_without_tools() -> None:
    (written,) = read_agents(block("docs/chat-uis.md", "toml")).agents
    (starter,) = [agent for agent in read_starter_agents().agents if not agent.tools]

    assert written == starter
    assert read("docs/chat-uis.md").count(f"agent/{written.name}") >= 3


def test_the_image_setting_names_a_model_and_a_size_of_the_starter_catalog() -> None:
    values = dict(line.split("=", 1) for line in block("docs/chat-uis.md", "sh open-webui-images").splitlines())
    (model,) = [each for each in read_starter_catalog().models if each.name == values["IMAGE_GENERATION_MODEL"]]

    assert model.images is not None
    assert model.images.of_fields(model.name, {"size": values["IMAGE_SIZE"]})
