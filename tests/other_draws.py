"""Other random numbers for all tests, where ``EQUIPROB_DRAWS`` is set to a number.

Rows are told apart by hashes of their numbers, so that on a processor that rounds otherwise the
same seed gives other weights, transformations and chains. Here a salt does that: a test that fails
with one of these numbers will fail somewhere. Processes that tests start are not salted.
"""

import hashlib
import os

import jax

from equiprob.orbits import keys

SALT = os.environ["EQUIPROB_DRAWS"]

_key = jax.random.key


class _Salted:
    @staticmethod
    def blake2b(content, digest_size):
        return hashlib.blake2b(content, digest_size=digest_size, key=SALT.encode())


keys.hashlib = _Salted
jax.random.key = lambda seed, **options: jax.random.fold_in(_key(seed, **options), int(SALT))
