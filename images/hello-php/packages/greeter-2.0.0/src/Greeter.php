<?php

declare(strict_types=1);

namespace Acme\Greeter;

use Acme\Phrasebook\Phrasebook;

final class Greeter
{
    public function __construct(private readonly Phrasebook $phrasebook)
    {
    }

    /** Breaking in 2.0: several names at once, and the language first, so that no caller of 1.x works unchanged. */
    public function greetAll(string $language, string ...$names): string
    {
        return $this->phrasebook->salutation($language) . ', ' . implode(' and ', $names) . '!';
    }
}
