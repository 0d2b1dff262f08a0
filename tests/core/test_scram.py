from app.core.scram import scram_verifier


def test_a_verifier_is_what_postgres_computes() -> None:
    """The example of RFC 7677, whose keys are those of its client's proof and server's signature."""
    salt = bytes.fromhex("5b6d99689d12358eeca04b141236fa81")

    verifier = scram_verifier("pencil", salt)

    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
