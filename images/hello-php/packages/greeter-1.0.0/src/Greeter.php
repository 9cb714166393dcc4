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
        return $this->phrasebook->salutation($language) . ', ' . $name . '!';
    }
}
