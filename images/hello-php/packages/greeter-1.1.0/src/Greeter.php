<?php

declare(strict_types=1);

namespace Acme\Greeter;

use Acme\Phrasebook\Phrasebook;

final class Greeter
{
    public function __construct(private readonly Phrasebook $phrasebook)
    {
    }

    public function greet(string $name, string $language = 'en'): string
    {
        // New in 1.1: a name of nothing but spaces greets the world.
        $name = trim($name);

        return $this->phrasebook->salutation($language) . ', ' . ($name === '' ? 'world' : $name) . '!';
    }
}
